//! A Kubernetes that is made up: an API server that tells of pods, as the `DaemonSet` of deploy/kubernetes would have them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::command::workspace;
use crate::yaml;

const FOLDER: &str = "deploy/kubernetes";

/// What deploy/kubernetes says of its pods.
pub struct DaemonSet {
    name: Value,
    namespace: Value,
    template: Value,
}

impl DaemonSet {
    pub fn read() -> Result<Self> {
        let read = |name: &str| yaml::read(&workspace().join(FOLDER).join(name));
        let set = read("daemonset.yaml")?;
        ensure!(set["kind"] == "DaemonSet", "daemonset.yaml is none");
        Ok(Self {
            name: set["metadata"]["name"].clone(),
            namespace: read("kustomization.yaml")?["namespace"].clone(),
            template: set["spec"]["template"].clone(),
        })
    }

    /// Where its one container listens.
    pub fn port(&self) -> Result<u16> {
        let port = &self.template["spec"]["containers"][0]["ports"][0]["containerPort"];
        let port = port.as_u64().and_then(|port| port.try_into().ok());
        port.context("daemonset.yaml: no containerPort")
    }

    /// A pod of it that runs on a node.
    pub fn pod(&self, node: &str, address: Ipv4Addr) -> Value {
        let name = format!("{}-{node}", self.name.as_str().unwrap_or_default());
        let mut spec = self.template["spec"].clone();
        spec["nodeName"] = node.into();
        json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "uid": format!("uid-of-{name}"),
                "resourceVersion": "1",
                "labels": self.template["metadata"]["labels"],
                "annotations": self.template["metadata"]["annotations"],
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "DaemonSet", "name": self.name, "uid": "uid-of-set", "controller": true,
                }],
            },
            "spec": spec,
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "hostIP": address,
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        })
    }
}

/// Pods that are there when somebody asks, and one that comes later.
pub struct Pods {
    pub there: Vec<Value>,
    pub later: Value,
}

/// Serves until this process ends.
pub fn serve(pods: Pods) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("cannot get a loopback port for the API server")?;
    let address = listener.local_addr()?;
    let pods = Arc::new(pods);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pods = Arc::clone(&pods);
            // A watch lasts, so each has a thread. Who hangs up comes again.
            thread::spawn(move || pods.answer(stream));
        }
    });
    Ok(address)
}

impl Pods {
    fn answer(&self, mut stream: TcpStream) -> Result<()> {
        let request = super::request(&stream)?;
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = |name: &str| {
            let mut keys = query.split('&').filter_map(|key| key.split_once('='));
            keys.find_map(|(key, value)| (key == name).then(|| decoded(value)))
        };
        let selector = key("labelSelector").unwrap_or_default();
        let head = |status: &str, rest: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n{rest}\r\n\r\n"
            )
        };
        if path != "/api/v1/pods" {
            let no = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
                .to_string();
            let length = format!("Content-Length: {}", no.len());
            stream.write_all((head("404 Not Found", &length) + &no).as_bytes())?;
            return Ok(());
        }
        if key("watch").is_none() {
            let chosen = self.there.iter().filter(|pod| selected(pod, &selector));
            let list = json!({
                "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"},
                "items": chosen.collect::<Vec<_>>(),
            })
            .to_string();
            let length = format!("Content-Length: {}", list.len());
            stream.write_all((head("200 OK", &length) + &list).as_bytes())?;
            return Ok(());
        }
        stream.write_all(head("200 OK", "Transfer-Encoding: chunked").as_bytes())?;
        if selected(&self.later, &selector) {
            let event = json!({"type": "ADDED", "object": self.later}).to_string();
            write!(stream, "{:x}\r\n{event}\n\r\n", event.len() + 1)?;
        }
        // Nothing more happens, until the other side has enough.
        stream.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

/// By equality alone: `a=b,c=d`, as `selectors` of a scrape configuration has it.
fn selected(pod: &Value, selector: &str) -> bool {
    let labels = &pod["metadata"]["labels"];
    let equal = |one: &str| {
        one.split_once('=')
            .is_some_and(|(key, value)| labels[key] == value)
    };
    selector.split(',').filter(|one| !one.is_empty()).all(equal)
}

fn decoded(text: &str) -> String {
    ["%2F", "%3D", "%2C"]
        .iter()
        .zip(["/", "=", ","])
        .fold(text.to_owned(), |text, (code, plain)| {
            text.replace(code, plain)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operator makes a scrape configuration of it, which must not differ from ours: the same pods and port, and a job and an
    /// instance that rules know. By its `generatePodMonitorConfig` (pkg/prometheus/promcfg.go).
    #[test]
    fn the_pod_monitor_is_of_the_same_pods() {
        let monitor = yaml::read(&workspace().join(FOLDER).join("podmonitor.yaml"));
        let monitor = &monitor.expect("a PodMonitor")["spec"];
        let pod = DaemonSet::read()
            .expect("a DaemonSet")
            .pod("node", Ipv4Addr::LOCALHOST);
        let labels = &pod["metadata"]["labels"];
        assert_eq!(&monitor["selector"]["matchLabels"], labels);
        let job = monitor["jobLabel"].as_str().expect("a jobLabel");
        assert_eq!(labels[job], "daxscope");
        let endpoint = &monitor["podMetricsEndpoints"][0];
        let port = &pod["spec"]["containers"][0]["ports"][0];
        assert_eq!(endpoint["port"], port["name"]);
        let instance =
            json!({"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "instance"});
        assert_eq!(endpoint["relabelings"], json!([instance]));
    }

    #[test]
    fn a_selector_chooses() {
        let pod = json!({"metadata": {"labels": {"a/b": "c"}}});
        assert!(selected(&pod, &decoded("a%2Fb%3Dc")) && selected(&pod, ""));
        assert!(!selected(&pod, "a/b=d") && !selected(&pod, "x=c"));
    }
}
