//! What is counted of rules that do not refuse: those that only report, and contracts that backends break.

use policies::id::OperationId;
use policies::rule::RuleKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Rule {
    kind: &'static str,
}

// The operations are those of the contract, the keywords a fixed set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Fault {
    operation: String,
    keyword: &'static str,
}

/// The kinds of rules that have a mode.
const REPORTED: [RuleKind; 2] = [RuleKind::Limit, RuleKind::Fraud];

/// The counters.
#[derive(Default)]
pub(crate) struct Rules {
    reports: Family<Rule, Counter>,
    response_faults: Family<Fault, Counter>,
}

impl Rules {
    pub(super) fn register(&self, registry: &mut Registry) {
        let reports = "Requests that a rule would have refused, had it been enforced, by its kind";
        registry.register("rule_reports", reports, self.reports.clone());
        for kind in REPORTED {
            drop(self.reports.get_or_create(&Rule { kind: kind.word() }));
        }
        let faults = "Answers of backends that break the contract, by operation and the first rule that they break";
        registry.register("response_faults", faults, self.response_faults.clone());
    }

    pub(crate) fn reported(&self, kind: RuleKind) {
        self.reports.get_or_create(&Rule { kind: kind.word() }).inc();
    }

    pub(crate) fn response_fault(&self, operation: &OperationId, keyword: &'static str) {
        self.response_faults.get_or_create(&Fault { operation: operation.to_string(), keyword }).inc();
    }
}
