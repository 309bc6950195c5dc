//! What a client says it takes: `Accept` and `Accept-Encoding` with their weights (RFC 9110, 12.4 and 12.5).

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName},
};

use super::moment::Wanted;

/// Which exposition a client wants. `OpenMetrics` only to one that names it: `*/*` is what every browser says. The times at which
/// counting began only to one that names no other format, for Prometheus names both, and would store each as a series.
pub fn exposition(headers: &HeaderMap) -> Wanted {
    let (mut open, mut text, mut text_named) = (0, 0, false);
    for range in ranges(headers, ACCEPT) {
        let version = range.parameter("version");
        match range.name.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                open = open.max(range.weight);
            }
            "text/plain" => {
                text_named |= range.weight > 0;
                if matches!(version, None | Some("0.0.4")) {
                    text = text.max(range.weight);
                }
            }
            "text/*" | "*/*" => text = text.max(range.weight),
            _ => {}
        }
    }
    if open > 0 && open >= text {
        Wanted::OpenMetrics {
            created: !text_named,
        }
    } else {
        Wanted::Text
    }
}

/// Whether a client takes gzip.
pub fn gzip(headers: &HeaderMap) -> bool {
    let mut any = 0;
    for range in ranges(headers, ACCEPT_ENCODING) {
        match range.name.as_str() {
            "gzip" | "x-gzip" => return range.weight > 0,
            "*" => any = range.weight,
            _ => {}
        }
    }
    any > 0
}

struct Range {
    /// In lower case.
    name: String,
    parameters: Vec<(String, String)>,
    /// Thousandths.
    weight: u16,
}

impl Range {
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What a header lists; what is not understood in it is not there.
fn ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Range> {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let mut weight = 1000;
        let mut parameters = vec![];
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                continue;
            };
            let key = key.trim().to_ascii_lowercase();
            let value = value.trim().trim_matches('"');
            if key == "q" {
                weight = thousandths(value)?;
            } else {
                parameters.push((key, value.to_owned()));
            }
        }
        Some(Range {
            name,
            parameters,
            weight,
        })
    })
}

/// A weight of 0 to 1 with up to three digits.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", _) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("a header");
        HeaderMap::from_iter([(name, value)])
    }

    #[test]
    fn the_format_is_the_one_that_is_wished_for_most() {
        const PLAIN: Wanted = Wanted::OpenMetrics { created: false };
        const CREATED: Wanted = Wanted::OpenMetrics { created: true };
        for (accept, wanted) in [
            ("", Wanted::Text),
            ("*/*", Wanted::Text),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Wanted::Text,
            ),
            ("text/plain;version=0.0.4", Wanted::Text),
            ("application/openmetrics-text", CREATED),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                CREATED,
            ),
            ("application/openmetrics-text;version=0.0.1", Wanted::Text),
            ("application/openmetrics-text;q=0", Wanted::Text),
            (
                "application/openmetrics-text;q=0.3,text/plain;q=0.5",
                Wanted::Text,
            ),
            // Prometheus 2.42
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                PLAIN,
            ),
            // Prometheus 3
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                PLAIN,
            ),
            // Prometheus 3 with scrape_protocols: [OpenMetricsText1.0.0]
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5",
                CREATED,
            ),
            ("APPLICATION/OpenMetrics-Text ; Q=1.000", CREATED),
            (";;,=,q=;q=2,text/plain;q=1.5", Wanted::Text),
        ] {
            assert_eq!(exposition(&with(ACCEPT, accept)), wanted, "{accept}");
        }
        assert_eq!(exposition(&HeaderMap::new()), Wanted::Text);
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (accept, taken) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("gzip;q=0.000", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(gzip(&with(ACCEPT_ENCODING, accept)), taken, "{accept}");
        }
        assert!(!gzip(&HeaderMap::new()));
    }
}
