//! What is read of the probes when somebody asks: once for all who ask at the same time. What they get is of a moment after they
//! asked, so nobody is told old news, and nobody can make us read twice at a time.

use std::{
    io::Write as _,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use tokio::sync::oneshot;

use super::{ready, source::Source};
use crate::{
    metrics::{self, openmetrics},
    page::{self, History, Shown},
    probes,
    snapshot::{Sample, Snapshot},
};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The exposition, text format 0.0.4.
    Text,
    /// The exposition, `OpenMetrics` 1.0, perhaps with the times at which counting began.
    OpenMetrics { created: bool },
    /// The verdict on the daemon, in JSON.
    Readiness,
    /// The page for people.
    Page,
}

/// What was made for all who asked for it.
pub struct Made {
    pub media: &'static str,
    /// Whether the daemon is ready, where that was asked; true elsewhere.
    pub good: bool,
    pub plain: Bytes,
    zipped: OnceLock<Bytes>,
}

type Answer = Result<Arc<Made>, Arc<str>>;

/// Who waits, and what was there before.
pub struct Moments {
    source: Arc<dyn Source>,
    /// What the server adds to each snapshot.
    own: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
    waiting: Mutex<Vec<(Wanted, oneshot::Sender<Answer>)>>,
    history: Mutex<History>,
}

impl Moments {
    pub fn new(
        source: Arc<dyn Source>,
        own: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            own: Box::new(own),
            waiting: Mutex::default(),
            history: Mutex::default(),
        })
    }

    /// Takes this for what was before.
    pub fn remember(&self, history: History) {
        *self.history.lock().unwrap_or_else(PoisonError::into_inner) = history;
    }

    /// Something of a moment that is yet to come.
    ///
    /// # Errors
    /// When it cannot be made; that is no client's fault.
    pub async fn ask(self: &Arc<Self>, wanted: Wanted) -> Answer {
        let (sender, answer) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((wanted, sender));
            waiting.len() == 1
        };
        if first {
            // Not in our own task: it ends with its client, and others wait too.
            let moments = self.clone();
            tokio::spawn(async move {
                // All whose request is there already get theirs from the same moment.
                tokio::task::yield_now().await;
                moments.make();
            });
        }
        answer
            .await
            .unwrap_or_else(|_| Err("the server is stopping".into()))
    }

    /// Reads the probes, and answers all who wait.
    fn make(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let mut kinds: Vec<Wanted> = vec![];
        for (wanted, _) in &waiting {
            if !kinds.contains(wanted) {
                kinds.push(*wanted);
            }
        }
        let made = self.all(&kinds);
        for (wanted, sender) in waiting {
            let of_kind = made.iter().find(|(kind, _)| *kind == wanted);
            if let Some((_, answer)) = of_kind {
                // Who has gone meanwhile needs none.
                let _ = sender.send(answer.clone());
            }
        }
    }

    fn all(&self, kinds: &[Wanted]) -> Vec<(Wanted, Answer)> {
        let mut made: Vec<(Wanted, Result<Made>)> = vec![];
        let readiness = |kind: &Wanted| matches!(kind, Wanted::Readiness | Wanted::Page);
        let readiness = kinds.iter().any(readiness).then(|| self.source.readiness());
        if kinds.contains(&Wanted::Readiness)
            && let Some(of) = &readiness
        {
            let text = ready::json(of, self.source.verdicts());
            made.push((
                Wanted::Readiness,
                Ok(Made::new("application/json", of.ready(), text)),
            ));
        }
        if kinds.iter().any(|kind| *kind != Wanted::Readiness) {
            let at = Instant::now();
            let mut snapshot = self.source.snapshot();
            snapshot.samples.extend((self.own)());
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.record(at, &snapshot);
            if kinds.contains(&Wanted::Page)
                && let Some(readiness) = &readiness
            {
                let shown = Shown {
                    snapshot: &snapshot,
                    at,
                    verdicts: self.source.verdicts(),
                    readiness,
                    history: &history,
                };
                let text = page::document(&shown);
                made.push((Wanted::Page, Ok(Made::new(page::MEDIA, true, text))));
            }
            drop(history);
            made.extend(self.expositions(kinds, snapshot));
        }
        let shared = |(kind, made): (Wanted, Result<Made>)| {
            let made = made.map(Arc::new);
            (kind, made.map_err(|error| format!("{error:#}").into()))
        };
        made.into_iter().map(shared).collect()
    }

    /// The text comes last: writing it takes the snapshot apart.
    fn expositions(&self, kinds: &[Wanted], snapshot: Snapshot) -> Vec<(Wanted, Result<Made>)> {
        let mut made = vec![];
        let began = Instant::now();
        for kind in kinds {
            if let Wanted::OpenMetrics { created } = kind {
                let text = openmetrics::encode(probes::metrics(), &snapshot, *created);
                made.push((*kind, Ok(Made::new(openmetrics::CONTENT_TYPE, true, text))));
            }
        }
        if kinds.contains(&Wanted::Text) {
            let text = metrics::encode(probes::metrics(), snapshot);
            let text = text.map(|text| Made::new(metrics::CONTENT_TYPE, true, text));
            made.push((Wanted::Text, text));
        }
        if !made.is_empty() {
            self.source.written(began.elapsed());
        }
        made
    }
}

impl Made {
    fn new(media: &'static str, good: bool, text: String) -> Self {
        Self {
            media,
            good,
            plain: Bytes::from(text),
            zipped: OnceLock::new(),
        }
    }

    /// As gzip.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn zipped(&self) -> Result<Bytes> {
        if let Some(zipped) = self.zipped.get() {
            return Ok(zipped.clone());
        }
        // Level 1 is a third of the work of the usual 6, for a tenth more bytes.
        let mut zip = GzEncoder::new(Vec::with_capacity(1 << 14), Compression::fast());
        let zipped = zip.write_all(&self.plain).and_then(|()| zip.finish());
        let zipped = zipped.context("cannot compress the answer")?;
        Ok(self.zipped.get_or_init(|| zipped.into()).clone())
    }
}
