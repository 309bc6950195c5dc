# Holds the PodMonitor on stdin to the types of the operator's CRD. What these do not know is refused too: the API server would
# drop it without a word.
import sys

import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

manifest = yaml.safe_load(sys.stdin)
try:
    known = PodMonitor.model_validate(manifest)
except ValueError as error:
    sys.exit(f"PodMonitor: {error}")
known = known.model_dump(by_alias=True, exclude_unset=True, mode="json")
if known != manifest:
    sys.exit(f"PodMonitor: of {manifest} the operator knows only {known}")
