// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The numbers in Prometheus's text format, as OpenMetrics 1.0 has it.
//!
//! `daemon/docs/metrics.md` lists the families, and a test compares the two.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::{Snapshot, Window};
use crate::metrics::{BOUNDS, Distribution, Trait};

/// What the text calls itself.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What all names begin with.
const PREFIX: &str = "virtiofs_daxd";

/// All families.
pub(super) fn text(snapshot: Arc<Snapshot>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Families(snapshot)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Families(Arc<Snapshot>);

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = &self.0;
        let mut families = Writer(encoder);
        families.process(snapshot)?;
        families.requests(snapshot)?;
        for (name, help, count) in &snapshot.events {
            families.counter(name, help, *count)?;
        }
        families.refusals(snapshot)?;
        families.poll_times(snapshot)?;
        match &snapshot.window {
            Some(window) => {
                families.vmm(snapshot)?;
                families.window(snapshot, window)
            }
            None => Ok(()),
        }
    }
}

type Label = [(&'static str, String); 1];

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn process(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let mut info = self.family("build", "The daemon", None, MetricType::Info)?;
        info.encode_info(&version)?;
        let started = snapshot.observed.started.duration_since(UNIX_EPOCH);
        let started = started.unwrap_or_default().as_secs_f64();
        let help = "When the daemon began to serve, since the epoch";
        self.family("start_time", help, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&started)
    }

    fn requests(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let observed = &snapshot.observed;
        let queues = snapshot.queues.iter().enumerate();
        self.counters(
            "requests",
            "Requests taken off each queue; queue 0 is the high priority queue",
            "queue",
            queues.map(|(queue, count)| (queue.to_string(), *count)),
        )?;
        let operations = observed.operations.iter();
        self.counters(
            "operations",
            "Requests answered, by FUSE operation",
            "operation",
            operations.map(|(name, count)| ((*name).to_owned(), *count)),
        )?;
        let errors = observed.errors.iter();
        self.counters(
            "errors",
            "Requests answered with an error, by its name",
            "errno",
            errors.map(|(errno, count)| (errno_name(*errno), *count)),
        )?;
        let latencies = observed.latencies.iter();
        self.histograms(
            "request_duration",
            "Time from a request's header to its reply, by class of operation",
            "class",
            latencies.map(|(class, times)| (class.name(), times)),
        )?;
        self.bytes("read", "File data in replies to READ", observed.read_bytes)?;
        self.bytes(
            "written",
            "File data of WRITEs that succeeded",
            observed.written_bytes,
        )
    }

    fn refusals(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let refusals = snapshot.refusals.iter();
        self.counters(
            "setupmapping_refused",
            "SETUPMAPPING requests answered with an error, by reason",
            "reason",
            refusals.map(|(reason, count)| ((*reason).to_owned(), *count)),
        )
    }

    fn poll_times(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let help = "Mean time from one request to the next, when the ring was last watched and when it \
                    was last not; nothing without --poll";
        let mut family = self.family(
            "poll_request_time",
            help,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (queue, times) in snapshot.poll_times.iter().enumerate() {
            for (polled, time) in [("yes", times[0]), ("no", times[1])] {
                let Some(time) = time else { continue };
                let labels = [("queue", queue.to_string()), ("polled", polled.to_owned())];
                family
                    .encode_family(&labels)?
                    .encode_gauge(&time.as_secs_f64())?;
            }
        }
        Ok(())
    }

    fn vmm(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let help =
            "What the VMM was found to do: 1 if it does, 0 if not; nothing if it is not known";
        let mut family = self.family("vmm_behaviour", help, None, MetricType::Gauge)?;
        for (of, answer) in Trait::ALL.iter().zip(snapshot.vmm) {
            let Some(answer) = answer else { continue };
            let labels: Label = [("trait", of.name().to_owned())];
            labelled(&mut family, &labels)?.encode_gauge(&i64::from(answer))?;
        }
        Ok(())
    }

    fn window(&mut self, snapshot: &Snapshot, window: &Window) -> fmt::Result {
        let (look, stats) = (&window.look, &window.look.stats);
        let cells = &snapshot.observed.cells;
        let calls = snapshot.observed.calls.iter();
        self.histograms(
            "vmm_call_duration",
            "Time from a call to the VMM to its answer",
            "call",
            calls.map(|(name, times)| (*name, times)),
        )?;
        for (name, help, value) in [
            ("window_size", "Size of the window", look.size),
            (
                "window_occupied",
                "Bytes of the window that are mapped, or may be",
                snapshot.occupied_bytes(),
            ),
            (
                "window_used",
                "Bytes of files behind them; a range may reach beyond its file's end",
                window.used_bytes(cells),
            ),
        ] {
            self.family(name, help, Some(&Unit::Bytes), MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
        for (name, help, value) in [
            ("window_ranges_live", "Mappings in effect", stats.live),
            (
                "window_ranges_indeterminate",
                "Ranges of which it is unknown whether the VMM has them mapped",
                stats.indeterminate,
            ),
            (
                "window_files",
                "Files with a mapping",
                window.sizes.len() as u64,
            ),
            (
                "window_views",
                "Files with an open view, mapped or kept",
                window.views,
            ),
            (
                "region_budget_limit",
                "Memory regions from which on mappings are refused; 0 for never",
                look.region_limit.unwrap_or(0) as u64,
            ),
            (
                "region_budget_in_use",
                "Memory regions that the VM has",
                look.regions as u64,
            ),
        ] {
            self.family(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
        for (name, help, count) in stats.shown() {
            self.counter(name, help, count)?;
        }
        Ok(())
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        self.family(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn bytes(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        self.family(name, help, Some(&Unit::Bytes), MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        counts: impl Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, None, MetricType::Counter)?;
        for (value, count) in counts {
            let labels: Label = [(label, value)];
            labelled(&mut family, &labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn histograms<'d>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        all: impl Iterator<Item = (&'static str, &'d Distribution)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (value, times) in all {
            let labels: Label = [(label, value.to_owned())];
            labelled(&mut family, &labels)?.encode_histogram::<NoLabelSet>(
                times.sum.as_secs_f64(),
                times.count(),
                &buckets(times),
                None,
            )?;
        }
        Ok(())
    }
}

fn labelled<'s>(
    family: &'s mut MetricEncoder<'_>,
    labels: &'s Label,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    family.encode_family(labels)
}

/// Upper bounds in seconds; the library takes this last one for infinity.
fn buckets(times: &Distribution) -> Vec<(f64, u64)> {
    let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e9);
    bounds.chain([f64::MAX]).zip(times.buckets).collect()
}

/// The name that errno(3) has for a number.
fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => "unknown".to_owned(),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests;
