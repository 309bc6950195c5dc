//! The web configuration that a configuration names, and what may be served with it.

use super::{Effective, Error, Listen};
use crate::serve::{self, web::Web};

impl Effective {
    /// Reads the web configuration; `None` if none is named.
    ///
    /// # Errors
    /// When it, or a certificate of it, cannot be used.
    pub fn web(&self) -> Result<Option<Web>, Error> {
        let web = self.config.web_config.as_deref().map(Web::read).transpose();
        let by = self.origin("web-config");
        web.map_err(|error| Error::new(format!("web-config ({by}): {error:#}")))
    }

    /// Whether these may be served: those of `listen`, or sockets that were handed over in their place.
    ///
    /// # Errors
    /// When other hosts can reach one, nothing guards it, and nobody said that this is meant.
    pub fn may_serve(&self, listen: &[Listen], web: Option<&Web>) -> Result<(), Error> {
        if self.config.allow_insecure_remote {
            return Ok(());
        }
        let by = if listen == self.config.listen {
            format!("listen ({})", self.origin("listen"))
        } else {
            "a socket that was handed over".to_owned()
        };
        serve::insecure(listen, web)
            .map_or(Ok(()), |words| Err(Error::new(format!("{by}: {words}"))))
    }
}
