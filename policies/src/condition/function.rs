//! The functions that a condition may call: what they take, and what is worked out of it when policies are loaded.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr, operators};
use regex::RegexBuilder;

use super::check::{Checker, Node, TEXT_COST, indexed_by_text, literal_text};
use super::context::{FUNCTIONS, Kind, LIST_ITEMS_MAX, roots};
use super::slot::Slot;
use super::value::{IN_NETWORK, Instant, MATCHES, MONEY, Network, Pattern};
use crate::language::suggest::{did_you_mean, listed};
use crate::network::AddressRange;
use crate::time::Timestamp;

/// How many steps looking for a pattern counts as.
const MATCH_COST: u64 = 80;

/// The longest regular expression, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;

/// How large a regular expression may become when it is compiled, in bytes: keeps nested repetitions out.
const PATTERN_COMPILED_BYTES_MAX: usize = 64 * 1024;

impl Checker<'_> {
    /// Checks a call `name(..)`.
    pub(super) fn function(&mut self, node: &IdedExpr, name: &str, args: &[IdedExpr]) -> Option<Node> {
        match (name, args) {
            ("has", [member]) => self.has(node, member),
            ("money", [object]) => self.money(object),
            ("tenge", [amount]) => self.tenge(amount),
            ("timestamp", [text]) => self.timestamp(text),
            ("in_network", [address, network]) => self.in_network(address, network),
            ("size", [value]) => self.size(value),
            _ => self.unknown_function(node, name),
        }
    }

    /// Checks a call `target.name(..)`.
    pub(super) fn method(&mut self, node: &IdedExpr, name: &str, target: &IdedExpr, args: &[IdedExpr]) -> Option<Node> {
        match (name, args) {
            ("exists" | "all", [variable, test]) => self.every(node, name == "all", target, variable, test),
            ("contains" | "startsWith" | "endsWith", [part]) => {
                let (whole, part_node) = (self.walk(target), self.walk(part));
                let (whole, part_node) = (whole?, part_node?);
                if matches!(whole.kind, Kind::List(..)) {
                    let help = format!("whether a list holds a value is asked with `value in list`, not with `{name}`");
                    return self.refuse(node, &format!("`{name}` is for texts"), Some(help));
                }
                self.need(target, &whole, &Kind::Text)?;
                self.need(part, &part_node, &Kind::Text)?;
                Some(Node::method(name, whole, vec![part_node], Kind::Bool, TEXT_COST))
            }
            ("matches", [pattern]) => self.matches(target, pattern),
            ("size", []) => self.size(target),
            _ => self.unknown_function(node, name),
        }
    }

    fn unknown_function(&mut self, node: &IdedExpr, name: &str) -> Option<Node> {
        if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
            return self.refuse(
                node,
                &format!("`{name}` is not written like this"),
                Some(format!("like `{}`", function.usage)),
            );
        }
        let names = || FUNCTIONS.iter().map(|function| function.name);
        let help = match did_you_mean(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(names())),
        };
        let name = if name.starts_with('@') || name.starts_with('_') { "this operator" } else { name };
        self.refuse(node, &format!("there is no function `{name}`"), Some(help))
    }

    fn has(&mut self, node: &IdedExpr, member: &IdedExpr) -> Option<Node> {
        let (operand, field) = match &member.expr {
            Expr::Select(select) => (select.operand.as_ref(), select.field.as_str()),
            Expr::Call(call) => match indexed_by_text(call) {
                Some(found) => found,
                None => return self.refuse(node, "`has` asks for a member, like `has(body.member)`", None),
            },
            _ => return self.refuse(node, "`has` asks for a member, like `has(body.member)`", None),
        };
        if let Some(path) = self.body_path(operand) {
            let (mut names, kind) = path?;
            self.member(member, &kind, field)?;
            names.push(field.to_owned());
            return Some(Node::new(self.slot(Slot::HasBody(names)), Kind::Bool, 1));
        }
        if matches!(&operand.expr, Expr::Ident(name) if !self.is_item(name)) {
            self.walk(member)?;
            return self.refuse(member, "only members of the body are there or not", None);
        }
        let operand = self.walk(operand)?;
        self.member(member, &operand.kind, field)?;
        let select = SelectExpr { operand: Box::new(operand.expression), field: field.to_owned(), test: true };
        Some(Node::new(Expr::Select(select), Kind::Bool, operand.cost.saturating_add(2)))
    }

    fn money(&mut self, object: &IdedExpr) -> Option<Node> {
        // A slot of its own: of an amount that is nothing but read, no other member matters.
        let node = match self.body_path(object) {
            Some(path) => {
                let (names, kind) = path?;
                Node::new(self.slot(Slot::Money(names)), kind, 1)
            }
            None => self.walk(object)?,
        };
        match &node.kind {
            Kind::Any => {}
            Kind::Object(_) => {
                for member in ["amount", "currency"] {
                    let kind = self.member(object, &node.kind.clone(), member)?;
                    if !matches!(kind, Kind::Text | Kind::Any) {
                        let message = format!("an amount of money has `{member}` as a text, here it is {kind}");
                        return self.refuse(object, &message, None);
                    }
                }
            }
            other => {
                let message = format!("`money` takes an object with `amount` and `currency`, this is {other}");
                return self.refuse(object, &message, None);
            }
        }
        Some(Node::call(MONEY, vec![node], Kind::Int, 4))
    }

    fn tenge(&mut self, amount: &IdedExpr) -> Option<Node> {
        let node = self.walk(amount)?;
        self.need(amount, &node, &Kind::Int)?;
        if let Expr::Literal(LiteralValue::Int(tenge)) = &node.expression.expr {
            let Some(tiyn) = tenge.inner().checked_mul(100) else {
                return self.refuse(amount, "there is not so much money", None);
            };
            return Some(Node::new(Expr::Literal(LiteralValue::Int(tiyn.into())), Kind::Int, 1));
        }
        let hundred = Node::new(Expr::Literal(LiteralValue::Int(100.into())), Kind::Int, 1);
        Some(Node::call(operators::MULTIPLY, vec![node, hundred], Kind::Int, 0))
    }

    fn timestamp(&mut self, text: &IdedExpr) -> Option<Node> {
        let example = "a point in time is written as a text, like '2026-12-31T19:00:00Z'";
        let Some(written) = literal_text(text) else { return self.refuse(text, example, None) };
        match Timestamp::parse(written) {
            Some(at) => Some(self.constant(Box::new(Instant(at)), Kind::Time)),
            None => self.refuse(text, "this is no point in time", Some(example.to_owned())),
        }
    }

    fn in_network(&mut self, address: &IdedExpr, network: &IdedExpr) -> Option<Node> {
        let node = self.walk(address)?;
        self.need(address, &node, &Kind::Text)?;
        let example = "a network is written as a text, like '10.0.0.0/8'";
        let Some(written) = literal_text(network) else { return self.refuse(network, example, None) };
        match AddressRange::parse(written) {
            Some(range) => {
                let range = self.constant(Box::new(Network(range)), Kind::Any);
                Some(Node::call(IN_NETWORK, vec![node, range], Kind::Bool, 2))
            }
            None => self.refuse(network, "this is no network", Some(example.to_owned())),
        }
    }

    fn size(&mut self, value: &IdedExpr) -> Option<Node> {
        let node = self.walk(value)?;
        match node.kind {
            Kind::Text | Kind::List(..) | Kind::Any => Some(Node::call("size", vec![node], Kind::Int, TEXT_COST)),
            ref other => self.refuse(value, &format!("{other} has no size"), None),
        }
    }

    fn matches(&mut self, target: &IdedExpr, pattern: &IdedExpr) -> Option<Node> {
        let node = self.walk(target)?;
        self.need(target, &node, &Kind::Text)?;
        let Some(text) = literal_text(pattern) else {
            return self.refuse(
                pattern,
                "a pattern is a text between quotes, so that it is known when policies are loaded",
                None,
            );
        };
        if text.len() > PATTERN_BYTES_MAX {
            let message = format!("a pattern has at most {PATTERN_BYTES_MAX} bytes, this has {}", text.len());
            return self.refuse(pattern, &message, None);
        }
        match RegexBuilder::new(text).size_limit(PATTERN_COMPILED_BYTES_MAX).build() {
            Ok(regex) => {
                let regex = self.constant(Box::new(Pattern(regex)), Kind::Any);
                Some(Node::call(MATCHES, vec![node, regex], Kind::Bool, MATCH_COST))
            }
            Err(regex::Error::CompiledTooBig(_)) => {
                self.refuse(pattern, "this pattern repeats too much", Some("make its counts smaller".to_owned()))
            }
            Err(error) => {
                let said = error.to_string();
                let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.refuse(pattern, "this is no regular expression", Some(last))
            }
        }
    }

    fn every(
        &mut self,
        node: &IdedExpr,
        all: bool,
        list: &IdedExpr,
        variable: &IdedExpr,
        test: &IdedExpr,
    ) -> Option<Node> {
        if self.item.is_some() {
            return self.refuse(node, "`exists` and `all` cannot stand within one another", None);
        }
        let many = self.walk(list);
        let Expr::Ident(name) = &variable.expr else {
            return self.refuse(variable, "a name for the items of the list is needed here", None);
        };
        if roots().any(|root| root == name) || name.starts_with('.') {
            return self.refuse(variable, &format!("`{name}` is known already; call the items something else"), None);
        }
        let many = many?;
        let (item, items) = match &many.kind {
            Kind::List(item, items) => (item.as_ref().clone(), *items),
            Kind::Any => (Kind::Any, LIST_ITEMS_MAX),
            other => return self.refuse(list, &format!("{other} is no list"), None),
        };
        self.item = Some((name.clone(), item));
        let tested = self.walk(test);
        let fits = tested.as_ref().and_then(|tested| self.need(test, tested, &Kind::Bool));
        self.item = None;
        fits?;
        let tested = tested?;
        let each = tested.cost.saturating_add(2).saturating_mul(u64::try_from(items).unwrap_or(u64::MAX));
        let cost = many.cost.saturating_add(each);
        let loops = comprehension(all, name, many.expression, tested.expression);
        Some(Node::new(Expr::Comprehension(Box::new(loops)), Kind::Bool, cost))
    }
}

/// The loop that the standard macros of CEL make of `exists` and `all`.
fn comprehension(all: bool, name: &str, list: IdedExpr, test: IdedExpr) -> ComprehensionExpr {
    const RESULT: &str = "@result";
    let plain = |expr: Expr| IdedExpr { id: 0, expr };
    let call = |name: &str, args: Vec<IdedExpr>| {
        plain(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
    };
    let result = || plain(Expr::Ident(RESULT.to_owned()));
    let undecided = if all { result() } else { call(operators::LOGICAL_NOT, vec![result()]) };
    let joined = if all { operators::LOGICAL_AND } else { operators::LOGICAL_OR };
    ComprehensionExpr {
        iter_range: list,
        iter_var: name.to_owned(),
        iter_var2: None,
        accu_var: RESULT.to_owned(),
        accu_init: plain(Expr::Literal(LiteralValue::Boolean(all.into()))),
        loop_cond: call(operators::NOT_STRICTLY_FALSE, vec![undecided]),
        loop_step: call(joined, vec![result(), test]),
        result: result(),
    }
}
