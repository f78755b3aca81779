//! Metrics as values, and their text.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// All values of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// The name; the text adds `_total` to that of a counter.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They only grow.
    Counter,
    Gauge,
}

/// One value, and the labels that tell it from the others of its family.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

/// The names and values of a sample's labels.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// A value: a count keeps all its digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Count(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Value::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Value::Count(count as u64)
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Value::Count(u64::from(is_so))
    }
}

/// Seconds.
impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Value::Real(duration.as_secs_f64())
    }
}

/// The formats in which metrics are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenMetrics,
    /// Prometheus' older format, which curl gets, too.
    Prometheus,
}

impl Format {
    /// The format for a client that accepts these types.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Format::OpenMetrics,
            _ => Format::Prometheus,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }

    /// The text of these metrics.
    pub(crate) fn text_of(self, families: Vec<Family>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collected(families)));
        let mut text = String::new();
        let encoded = match self {
            Format::OpenMetrics => text::encode(&mut text, &registry),
            Format::Prometheus => prometheus_text::encode(&mut text, &registry),
        };
        encoded.expect("a String takes all text");
        text
    }
}

/// Metrics that were collected before their text is made.
#[derive(Debug)]
struct Collected(Vec<Family>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for sample in &family.samples {
                let sample_encoder = metric.encode_family(&sample.labels)?;
                match (family.kind, sample.value) {
                    (Kind::Counter, Value::Count(count)) => {
                        ConstCounter::new(count).encode(sample_encoder)?;
                    }
                    (Kind::Counter, Value::Real(real)) => {
                        ConstCounter::new(real).encode(sample_encoder)?;
                    }
                    (Kind::Gauge, Value::Count(count)) => {
                        ConstGauge::new(count).encode(sample_encoder)?;
                    }
                    (Kind::Gauge, Value::Real(real)) => {
                        ConstGauge::new(real).encode(sample_encoder)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let sample = |service: &str, value| Sample {
            labels: vec![("service", service.to_owned())],
            value,
        };
        vec![
            Family {
                name: "received_bytes",
                help: "Bytes received",
                kind: Kind::Counter,
                samples: vec![
                    sample("a", 7_u64.into()),
                    sample("b \"c\"", Value::Real(0.5)),
                ],
            },
            Family {
                name: "draining",
                help: "1 while it drains",
                kind: Kind::Gauge,
                samples: vec![Sample {
                    labels: Labels::new(),
                    value: true.into(),
                }],
            },
        ]
    }

    #[test]
    fn a_client_gets_the_format_that_it_accepts() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Prometheus);
        assert_eq!(Format::accepted(None), Format::Prometheus);
    }

    #[test]
    fn both_formats_have_all_values() {
        let text = Format::OpenMetrics.text_of(families());
        assert_eq!(
            text,
            "# HELP received_bytes Bytes received\n\
             # TYPE received_bytes counter\n\
             received_bytes_total{service=\"a\"} 7\n\
             received_bytes_total{service=\"b \\\"c\\\"\"} 0.5\n\
             # HELP draining 1 while it drains\n\
             # TYPE draining gauge\n\
             draining 1\n\
             # EOF\n"
        );
        let text = Format::Prometheus.text_of(families());
        assert!(
            text.contains("# TYPE received_bytes_total counter\n"),
            "{text}"
        );
        assert!(text.ends_with("draining 1\n"), "{text}");
    }
}
