//! Each scrape configuration of deploy/prometheus, used by a Prometheus as it is: whom it finds, whom it reaches, and with
//! which labels. Where a host is guarded, who should not get in does not.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::case::{Case, Target, up};
use super::cluster::{self, DaemonSet, Pods};
use super::config::{Config, write};
use super::secrets::{Authority, guard};
use super::{folder, own_net};
use crate::made_host::{self, MadeHost};

const PASSWORD: &str = "prometheus-of-a-test";

/// Servers of made hosts and the Prometheus of each case. They are left to themselves for a while, then judged.
pub struct Shipped {
    cases: Vec<Case>,
    _hosts: Vec<MadeHost>,
}

/// Hosts that anybody may ask.
struct Open([Ipv4Addr; 2]);

/// Hosts with TLS and a password, of which one wants a certificate too.
struct Guarded {
    with_password: String,
    with_both: String,
    authority: Authority,
}

impl Shipped {
    pub fn start() -> Result<Self> {
        made_host::build()?;
        let set = DaemonSet::read()?;
        let port = set.port()?;
        let mut hosts = Vec::new();
        let open = Open([own_net(255, 1), own_net(255, 2)]);
        for (address, ill) in open.0.iter().zip([false, true]) {
            let listen = format!("--listen={address}:{port}");
            hosts.push(MadeHost::start(
                [listen.as_str()].into_iter().chain(ill.then_some("--ill")),
            )?);
        }
        let guarded = Guarded::start(&mut hosts)?;
        let cases = vec![
            open.by_file(port)?,
            open.by_kubernetes(&set, port)?,
            guarded.by_password()?,
            guarded.by_certificate()?,
            guarded.by_wrong_password()?,
            guarded.by_wrong_authority()?,
        ];
        Ok(Self {
            cases,
            _hosts: hosts,
        })
    }

    pub fn judge(&self) -> Result<()> {
        for case in &self.cases {
            case.judge()
                .with_context(|| format!("deploy/prometheus, {}", case.name))?;
        }
        let names: Vec<_> = self.cases.iter().map(|case| case.name).collect();
        println!("scrape configurations as shipped: {}", names.join("; "));
        Ok(())
    }
}

impl Open {
    /// The file of hosts is the one that the configuration's heading shows.
    fn by_file(&self, port: u16) -> Result<Case> {
        const EXAMPLE: &str = "# /etc/prometheus/daxscope/*.json: ";
        let at = case_folder("file")?;
        let config = Config::read("prometheus-file.yml")?;
        let mut lines = config.text().lines();
        let example = lines.find_map(|line| line.strip_prefix(EXAMPLE));
        let mut groups: Value =
            serde_json::from_str(example.with_context(|| format!("no line {EXAMPLE:?}"))?)?;
        groups[0]["targets"] = self.0.iter().map(|host| format!("{host}:{port}")).collect();
        write(&at.join("hosts.json"), &groups.to_string())?;
        config.at(&at)?.write(&at)?;
        let expected = self.0.map(|host| {
            let labels =
                json!({"instance": host, "job": "daxscope", "cluster": groups[0]["labels"]["cluster"]});
            up(format!("http://{host}:{port}/metrics"), &labels)
        });
        Case::start("hosts of a file", &at, expected)
    }

    /// Two nodes have a pod; of the second one Prometheus hears later. A pod of others, one that was evicted, and a container
    /// beside ours are not asked.
    fn by_kubernetes(&self, set: &DaemonSet, port: u16) -> Result<Case> {
        let nodes = ["node-a", "node-b"];
        let nobody = own_net(255, 9);
        let mut pods = [0, 1].map(|n| set.pod(nodes[n], self.0[n]));
        let beside = json!({"name": "proxy", "image": "proxy", "ports": [{"name": "proxy", "containerPort": 15001}]});
        if let Some(containers) = pods[0]["spec"]["containers"].as_array_mut() {
            containers.push(beside);
        }
        let mut evicted = set.pod("node-c", nobody);
        evicted["status"]["phase"] = "Failed".into();
        let mut of_others = set.pod("node-d", nobody);
        of_others["metadata"]["labels"] = json!({"app.kubernetes.io/name": "other"});
        let [first, later] = pods;
        let there = vec![first, evicted, of_others];
        let api = cluster::serve(Pods { there, later })?;

        let at = case_folder("kubernetes")?;
        let role = "      - role: pod\n        selectors:";
        let with =
            format!("      - api_server: http://{api}\n        role: pod\n        selectors:");
        let config = Config::read("prometheus-kubernetes.yml")?;
        config.put(role, &with)?.write(&at)?;
        let expected = [0, 1].map(|n| {
            let labels = json!({"instance": nodes[n], "job": "daxscope"});
            up(format!("http://{}:{port}/metrics", self.0[n]), &labels)
        });
        Case::start("pods of Kubernetes", &at, expected)
    }
}

impl Guarded {
    fn start(hosts: &mut Vec<MadeHost>) -> Result<Self> {
        let authority = Authority::new()?;
        let mut start = |last: u8, clients: bool| -> Result<String> {
            let address = own_net(255, last).to_string();
            let at = case_folder(&format!("host-{last}"))?;
            guard(&at, &address, &authority, PASSWORD, clients)?;
            let web = at.join("web.yml");
            let words = [
                format!("--listen={address}:0"),
                format!("--web-config={}", web.display()),
            ];
            let host = MadeHost::start(words)?;
            let address = host.address.clone();
            hosts.push(host);
            Ok(address)
        };
        Ok(Self {
            with_password: start(3, false)?,
            with_both: start(4, true)?,
            authority,
        })
    }

    /// As shipped; it does not reach the one that wants a certificate.
    fn by_password(&self) -> Result<Case> {
        let at = self.folder("tls", &self.authority, PASSWORD)?;
        Config::read("prometheus-tls.yml")?.at(&at)?.write(&at)?;
        let expected = [
            of(&self.with_password, ""),
            of(&self.with_both, "certificate required"),
        ];
        Case::start("TLS and a password", &at, expected)
    }

    /// With the two lines that it has for certificates.
    fn by_certificate(&self) -> Result<Case> {
        let at = self.folder("tls-certificate", &self.authority, PASSWORD)?;
        self.authority.sign(
            "prometheus",
            &at.join("prometheus.pem"),
            &at.join("prometheus.key"),
        )?;
        let config = Config::read("prometheus-tls.yml")?
            .put("# cert_file:", "cert_file:")?
            .put("# key_file:", "key_file:")?;
        config.at(&at)?.write(&at)?;
        let expected = [of(&self.with_password, ""), of(&self.with_both, "")];
        Case::start("TLS, a password and a certificate", &at, expected)
    }

    fn by_wrong_password(&self) -> Result<Case> {
        let at = self.folder("tls-wrong-password", &self.authority, "guessed")?;
        Config::read("prometheus-tls.yml")?.at(&at)?.write(&at)?;
        let expected = [
            of(&self.with_password, "401 Unauthorized"),
            of(&self.with_both, "certificate required"),
        ];
        Case::start("a wrong password", &at, expected)
    }

    fn by_wrong_authority(&self) -> Result<Case> {
        let at = self.folder("tls-wrong-authority", &Authority::new()?, PASSWORD)?;
        Config::read("prometheus-tls.yml")?.at(&at)?.write(&at)?;
        let refused = "certificate signed by unknown authority";
        let expected = [
            of(&self.with_password, refused),
            of(&self.with_both, refused),
        ];
        Case::start("another authority", &at, expected)
    }

    /// What Prometheus is given.
    fn folder(&self, name: &str, authority: &Authority, password: &str) -> Result<PathBuf> {
        let at = case_folder(name)?;
        write(&at.join("ca.pem"), &authority.certificate())?;
        write(&at.join("password"), password)?;
        let hosts = json!([{"targets": [self.with_password, self.with_both]}]);
        write(&at.join("hosts.json"), &hosts.to_string())?;
        Ok(at)
    }
}

fn case_folder(name: &str) -> Result<PathBuf> {
    let at = folder()?.join(name);
    fs::create_dir_all(&at).with_context(|| format!("cannot create {}", at.display()))?;
    Ok(at)
}

/// A guarded host, which is not reached for that reason.
fn of(address: &str, error: &str) -> Target {
    let instance = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let labels = json!({"instance": instance, "job": "daxscope"});
    Target {
        error: error.to_owned(),
        ..up(format!("https://{address}/metrics"), &labels)
    }
}
