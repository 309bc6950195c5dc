//! Who may ask, by name and password (`basic_auth_users`).

use std::{
    collections::{BTreeMap, VecDeque},
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bcrypt::HashParts;
use hyper::header::HeaderValue;
use ring::{hmac, rand::SystemRandom};
use tokio::sync::Semaphore;

use super::{section::Section, yaml::Value};

/// A check at 18 takes seconds, and each step more doubles that.
const MOST_COST: u32 = 18;
/// Checks at one time: bcrypt is meant to be slow, and the host has other work.
const AT_ONCE: usize = 2;
/// Clients that wait for a check; more are told to come again.
const WAITING: usize = 32;
/// Passwords that were right and are remembered: each user's, and some that changed.
const REMEMBERED: usize = 64;

/// The users of a web configuration.
pub struct Users {
    /// By name: the bcrypt hash of the password.
    hashes: BTreeMap<String, String>,
    /// For names that are not there: it takes as long to check, and no password fits it.
    decoy: String,
    /// Of this configuration alone; what it signs says nothing to whoever reads our memory later.
    key: hmac::Key,
    /// Signatures of pairs that were right, oldest first.
    right: Mutex<VecDeque<[u8; 32]>>,
    at_once: Semaphore,
    places: Semaphore,
}

/// What became of a client's claim to be a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Right,
    Wrong,
    /// Too many wait for that to be found out.
    Busy,
}

impl Users {
    /// `None` if there are none, which is: everybody may.
    ///
    /// # Errors
    /// For a hash that is none of bcrypt's, or one too costly to check.
    pub fn read(section: Section) -> Result<Option<Self>> {
        let mut hashes = BTreeMap::new();
        let mut most = 4;
        for (name, node) in section.all() {
            let at = format!(
                "line {}: basic_auth_users.{}",
                name.line,
                name.text.escape_debug()
            );
            let Value::Word(hash, _) = node.value else {
                bail!("{at}: must be the bcrypt hash of a password");
            };
            // A name ends at the first colon of what a client sends.
            ensure!(!name.text.contains(':'), "{at}: a user's name has no colon");
            // The hash itself is not for a log, however wrong it is.
            let cost = HashParts::from_str(&hash)
                .map(|parts| parts.get_cost())
                .ok()
                .with_context(|| {
                    format!("{at}: not a bcrypt hash ($2a$, $2b$, $2x$ or $2y$, 60 characters); `htpasswd -nB NAME` makes one")
                })?;
            ensure!(
                (4..=MOST_COST).contains(&cost),
                "{at}: a bcrypt hash of cost {cost}; take one of 4 to {MOST_COST}, say 10"
            );
            most = most.max(cost);
            hashes.insert(name.text, hash);
        }
        if hashes.is_empty() {
            return Ok(None);
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .ok()
            .context("no random numbers can be had from the kernel")?;
        Ok(Some(Self {
            hashes,
            decoy: format!("$2b${most:02}${}", ".".repeat(53)),
            key,
            right: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            places: Semaphore::new(AT_ONCE + WAITING),
        }))
    }

    /// Whether a client that sent this `Authorization` is one of the users. A name that is not there takes as long as one
    /// with a wrong password.
    pub async fn check(self: &Arc<Self>, authorization: Option<&HeaderValue>) -> Claim {
        let Some((name, password)) = authorization.and_then(|value| pair(value.as_bytes())) else {
            return Claim::Wrong;
        };
        let known = str::from_utf8(&name)
            .ok()
            .and_then(|name| self.hashes.get(name));
        let hash = known.unwrap_or(&self.decoy).clone();
        let signature = self.signature(&[&name, hash.as_bytes(), &password]);
        if self.remembers(&signature) {
            return Claim::Right;
        }
        let Ok(_place) = self.places.try_acquire() else {
            return Claim::Busy;
        };
        let Ok(_turn) = self.at_once.acquire().await else {
            return Claim::Busy;
        };
        // Another connection of the same client may have found out meanwhile.
        if self.remembers(&signature) {
            return Claim::Right;
        }
        let check = move || bcrypt::verify(&password, &hash).unwrap_or(false);
        let fits = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        if fits && known.is_some() {
            self.remember(signature);
            Claim::Right
        } else {
            Claim::Wrong
        }
    }

    /// Each part goes in with its length: what one part ends with cannot pass for what the next begins with
    /// (CVE-2022-46146 in exporter-toolkit's cache).
    fn signature(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut signed = hmac::Context::with_key(&self.key);
        for part in parts {
            signed.update(&part.len().to_le_bytes());
            signed.update(part);
        }
        let mut signature = [0; 32];
        signature.copy_from_slice(signed.sign().as_ref());
        signature
    }

    fn remembers(&self, signature: &[u8; 32]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.contains(signature)
    }

    fn remember(&self, signature: [u8; 32]) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() == REMEMBERED {
            right.pop_front();
        }
        right.push_back(signature);
    }
}

/// Name and password of `Basic …`.
fn pair(authorization: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some((pair[..colon].to_vec(), pair[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::web::yaml;

    fn users(text: &str) -> Result<Option<Users>> {
        let node = yaml::parse(text).expect("YAML");
        let keys = match &node.value {
            Value::Keys(keys) => keys.iter().map(|(key, _)| key.text.clone()).collect(),
            _ => vec![],
        };
        let known: Vec<_> = keys.iter().map(String::as_str).collect();
        Users::read(Section::open("basic_auth_users", node, &known).expect("a mapping"))
    }

    fn basic(pair: &str) -> HeaderValue {
        let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
        HeaderValue::from_str(&value).expect("a header")
    }

    #[tokio::test]
    async fn only_a_users_own_password_is_right() {
        let hash = bcrypt::hash("se:cret", 4).expect("hashes");
        let users = users(&format!("ann: {hash}\n"))
            .expect("reads")
            .expect("a user");
        let users = Arc::new(users);
        for turn in 0..2 {
            for (pair, claim) in [
                ("ann:se:cret", Claim::Right),
                ("ann:secret", Claim::Wrong),
                ("ann:", Claim::Wrong),
                ("ann", Claim::Wrong),
                ("bob:se:cret", Claim::Wrong),
                ("bob:", Claim::Wrong),
                (":se:cret", Claim::Wrong),
            ] {
                assert_eq!(
                    users.check(Some(&basic(pair))).await,
                    claim,
                    "{pair} {turn}"
                );
            }
        }
        for other in ["Bearer x", "Basic ???", "Basic", ""] {
            let other = HeaderValue::from_str(other).expect("a header");
            assert_eq!(users.check(Some(&other)).await, Claim::Wrong);
        }
        assert_eq!(users.check(None).await, Claim::Wrong);
        assert_eq!(
            users.right.lock().expect("whole").len(),
            1,
            "only what is right is kept"
        );
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_what_is_known_does_not_wait() {
        let hash = bcrypt::hash("right", 4).expect("hashes");
        let users = Arc::new(
            users(&format!("ann: {hash}\n"))
                .expect("reads")
                .expect("a user"),
        );
        assert_eq!(users.check(Some(&basic("ann:right"))).await, Claim::Right);
        let taken = users.places.acquire_many(34).await.expect("all places");
        assert_eq!(users.check(Some(&basic("ann:wrong"))).await, Claim::Busy);
        assert_eq!(users.check(Some(&basic("ann:right"))).await, Claim::Right);
        drop(taken);
    }

    #[test]
    fn the_decoy_is_a_hash_as_costly_as_any() {
        let hash = bcrypt::hash("x", 5).expect("hashes");
        let users = users(&format!("ann: {hash}\n"))
            .expect("reads")
            .expect("a user");
        let decoy = HashParts::from_str(&users.decoy).expect("a hash");
        assert_eq!(decoy.get_cost(), 5);
        assert!(!bcrypt::verify("x", &users.decoy).expect("can be checked"));
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_shown() {
        for (hash, words) in [
            ("secret", "not a bcrypt hash"),
            ("'$2y$10$short'", "not a bcrypt hash"),
            (
                "'$2y$10$äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüä'",
                "not a bcrypt hash",
            ),
            ("'$1$abcdefgh$0123456789012345678901'", "not a bcrypt hash"),
            ("[a]", "must be the bcrypt hash"),
            (&format!("'$2b$31${}'", ".".repeat(53)), "cost 31"),
        ] {
            let Err(error) = users(&format!("ann: {hash}\n")) else {
                panic!("{hash}");
            };
            let said = format!("{error:#}");
            assert!(
                said.contains("line 1: basic_auth_users.ann") && said.contains(words),
                "{said}"
            );
            assert!(!said.contains(hash), "{said}");
        }
    }
}
