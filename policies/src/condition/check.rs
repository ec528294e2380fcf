//! The walk over a condition: names, kinds and what it may cost; what comes of it is the expression that is evaluated.
//!
//! A fault is told where it stands, and the walk goes on, so that all faults are told at once.

use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators};
use cel::common::types::CelList;
use cel::common::value::Val;

use super::context::{BODY, FACTS, Kind, LIST_ITEMS_MAX, roots};
use super::fault::ConditionFault;
use super::parse::Parsed;
use super::slot::Slot;
use super::value::{EQUAL, NUMBER, SCALAR};
use crate::facts::OperationFacts;
use crate::language::suggest::{did_you_mean, listed};

/// How many nodes a condition may have, the literal items of lists not counted: more is a program, not a condition.
pub const NODES_MAX: usize = 256;

/// How many steps judging one request may take in the worst case, at about 50 ns each: some milliseconds.
pub const COST_MAX: u64 = 100_000;

/// How many steps a function on texts counts as: texts of 4 KiB are gone through at some bytes a nanosecond.
pub(super) const TEXT_COST: u64 = 8;

/// A condition that passed.
pub(super) struct Checked {
    /// What is evaluated.
    pub(super) expression: IdedExpr,
    /// What it takes from a request.
    pub(super) slots: Vec<Slot>,
}

/// Checks a tree; without an operation, nothing is known of the body.
pub(super) fn check(parsed: &Parsed, operation: Option<&OperationFacts>) -> Result<Checked, Vec<ConditionFault>> {
    let nodes = nodes(&parsed.tree);
    if nodes > NODES_MAX {
        let message = format!("a condition has at most {NODES_MAX} nodes, this has {nodes}");
        let help = Some("make several conditions of it".to_owned());
        return Err(vec![ConditionFault { offset: 0, length: 1, message, help }]);
    }
    let mut checker = Checker { parsed, operation, slots: Vec::new(), item: None, faults: Vec::new() };
    let node = checker.walk(&parsed.tree);
    if let Some(node) = &node {
        if !matches!(node.kind, Kind::Bool | Kind::Any) {
            let message = format!("a condition is true or false, this is {}", node.kind);
            checker.fault(parsed.place(&parsed.tree), message, None);
        } else if node.cost > COST_MAX {
            let message =
                format!("judging this may take {} steps for one request, at most {COST_MAX} are allowed", node.cost);
            let help = "what stands within `exists` or `all` is done for up to 1000 items".to_owned();
            checker.fault(parsed.place(&parsed.tree), message, Some(help));
        }
    }
    match node {
        Some(node) if checker.faults.is_empty() => Ok(Checked { expression: node.expression, slots: checker.slots }),
        _ => {
            checker.faults.sort_by_key(|fault| fault.offset);
            Err(checker.faults)
        }
    }
}

/// Counts nodes; lists of literals count as one.
fn nodes(node: &IdedExpr) -> usize {
    1 + match &node.expr {
        Expr::Call(call) => call.target.iter().map(|target| nodes(target)).chain(call.args.iter().map(nodes)).sum(),
        Expr::Select(select) => nodes(&select.operand),
        Expr::List(list) => list.elements.iter().filter(|item| !is_literal(item)).map(nodes).sum(),
        _ => 0,
    }
}

fn is_literal(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(_) => true,
        Expr::Call(call) => call.func_name == operators::NEGATE && call.args.iter().all(is_literal),
        _ => false,
    }
}

/// What the walk found of one node.
pub(super) struct Node {
    pub(super) expression: IdedExpr,
    pub(super) kind: Kind,
    pub(super) cost: u64,
}

impl Node {
    pub(super) fn new(expression: Expr, kind: Kind, cost: u64) -> Self {
        Self { expression: IdedExpr { id: 0, expr: expression }, kind, cost }
    }

    pub(super) fn call(name: &str, args: Vec<Node>, kind: Kind, extra: u64) -> Self {
        let cost = args.iter().fold(extra.saturating_add(1), |sum, node| sum.saturating_add(node.cost));
        let args = args.into_iter().map(|node| node.expression).collect();
        Self::new(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }), kind, cost)
    }

    pub(super) fn method(name: &str, target: Node, args: Vec<Node>, kind: Kind, extra: u64) -> Self {
        let mut node = Self::call(name, args, kind, extra);
        node.cost = node.cost.saturating_add(target.cost);
        if let Expr::Call(call) = &mut node.expression.expr {
            call.target = Some(Box::new(target.expression));
        }
        node
    }
}

/// The walk: what it found so far.
pub(super) struct Checker<'a> {
    parsed: &'a Parsed,
    operation: Option<&'a OperationFacts>,
    slots: Vec<Slot>,
    // The name that stands for an item of a list, within `exists` and `all`, and its kind.
    pub(super) item: Option<(String, Kind)>,
    faults: Vec<ConditionFault>,
}

/// What a chain of names stands for.
enum Path {
    Root(String),
    Body(Vec<String>, Kind),
}

impl Checker<'_> {
    pub(super) fn walk(&mut self, node: &IdedExpr) -> Option<Node> {
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(name) => self.name(node, name),
            Expr::Select(select) => self.select(node, &select.operand, &select.field),
            Expr::List(list) => self.list(node, list),
            Expr::Call(call) => self.call(node, call),
            Expr::Map(_) | Expr::Struct(_) => self.refuse(node, "objects cannot be made in a condition", None),
            Expr::Comprehension(_) | Expr::Unspecified => self.refuse(node, "this cannot be read as a condition", None),
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Node> {
        let kind = match literal {
            LiteralValue::Boolean(_) => Kind::Bool,
            LiteralValue::Int(_) => Kind::Int,
            LiteralValue::Double(_) => Kind::Number,
            LiteralValue::String(_) => Kind::Text,
            LiteralValue::Null => Kind::Null,
            LiteralValue::UInt(_) => return self.refuse(node, "numbers are written without a `u` here", None),
            LiteralValue::Bytes(_) => return self.refuse(node, "a text is written without a `b` here", None),
        };
        Some(Node::new(Expr::Literal(literal.clone()), kind, 1))
    }

    fn name(&mut self, node: &IdedExpr, name: &str) -> Option<Node> {
        match self.path(node)? {
            Path::Body(path, kind) => Some(self.body(path, kind)),
            Path::Root(root) if self.is_item(&root) => self.item_node(),
            Path::Root(_) => {
                let members = FACTS.iter().filter(|fact| fact.group == name);
                let members: Vec<String> = members.map(|fact| format!("{name}.{}", fact.name)).collect();
                let help = format!("it has {}", listed(members.iter().map(String::as_str)));
                self.refuse(node, &format!("`{name}` is a group of facts, not one"), Some(help))
            }
        }
    }

    pub(super) fn is_item(&self, name: &str) -> bool {
        self.item.as_ref().is_some_and(|(item, _)| item == name)
    }

    fn item_node(&self) -> Option<Node> {
        let (name, kind) = self.item.clone()?;
        Some(decimals(Node::new(Expr::Ident(name), kind, 1)))
    }

    pub(super) fn slot(&mut self, slot: Slot) -> Expr {
        let known = self.slots.iter().position(|known| *known == slot);
        let index = known.unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        Expr::Ident(Slot::name(index))
    }

    pub(super) fn constant(&mut self, value: Box<dyn Val>, kind: Kind) -> Node {
        Node::new(self.slot(Slot::Constant(value)), kind, 1)
    }

    fn body(&mut self, path: Vec<String>, kind: Kind) -> Node {
        let slot = Slot::Body { path, decimals: kind == Kind::Number };
        Node::new(self.slot(slot), kind, 1)
    }

    /// Follows a name, or a chain of members of the body; anything that it says wrong is told.
    fn path(&mut self, node: &IdedExpr) -> Option<Path> {
        let Expr::Ident(name) = &node.expr else { return None };
        if self.is_item(name) {
            return Some(Path::Root(name.clone()));
        }
        if name == BODY {
            if self.operation.is_some_and(|operation| !operation.has_body) {
                return self.refuse(node, "the contract describes no body for this operation", None);
            }
            let kind =
                self.operation.map_or(Kind::Any, |operation| Kind::of_place(&operation.body, "").unwrap_or(Kind::Any));
            return Some(Path::Body(Vec::new(), kind));
        }
        if roots().any(|root| root == name) {
            return Some(Path::Root(name.clone()));
        }
        let known: Vec<String> =
            roots().map(str::to_owned).chain(self.item.iter().map(|(item, _)| item.clone())).collect();
        let known = || known.iter().map(String::as_str);
        let members = FACTS.iter().filter(|fact| fact.name == name).map(|fact| format!("{}.{}", fact.group, fact.name));
        let likely = match did_you_mean(name, known()) {
            Some(near) => Some(near.to_owned()),
            None => members.into_iter().next().or_else(|| self.member_of_body(name)),
        };
        let help = match likely {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(known())),
        };
        self.refuse(node, &format!("nothing is known under the name `{name}`"), Some(help))
    }

    fn member_of_body(&self, name: &str) -> Option<String> {
        let shape = &self.operation?.body;
        shape.kind(&format!("/{name}")).map(|_| format!("{BODY}.{name}"))
    }

    fn select(&mut self, node: &IdedExpr, operand: &IdedExpr, field: &str) -> Option<Node> {
        if let Expr::Ident(group) = &operand.expr
            && group != BODY
            && !self.is_item(group)
        {
            self.path(operand)?;
            let Some(fact) = FACTS.iter().find(|fact| fact.group == group && fact.name == field) else {
                let known: Vec<&str> = FACTS.iter().filter(|fact| fact.group == group).map(|fact| fact.name).collect();
                return self.unknown_member(node, group, field, &known);
            };
            return Some(Node::new(self.slot(Slot::Fact(fact.id)), fact.kind.kind(), 1));
        }
        if let Some(path) = self.body_path(operand) {
            let (mut names, kind) = path?;
            let kind = self.member(node, &kind, field)?;
            names.push(field.to_owned());
            return Some(self.body(names, kind));
        }
        let operand = self.walk(operand)?;
        let kind = self.member(node, &operand.kind, field)?;
        let select = SelectExpr { operand: Box::new(operand.expression), field: field.to_owned(), test: false };
        Some(decimals(Node::new(Expr::Select(select), kind, operand.cost.saturating_add(2))))
    }

    /// Follows `body.a.b` and `body["a"]`; none if the node is no such chain.
    pub(super) fn body_path(&mut self, node: &IdedExpr) -> Option<Option<(Vec<String>, Kind)>> {
        match &node.expr {
            Expr::Ident(name) if name == BODY && !self.is_item(name) => Some(match self.path(node) {
                Some(Path::Body(path, kind)) => Some((path, kind)),
                _ => None,
            }),
            Expr::Select(select) => self.body_step(node, &select.operand, &select.field),
            Expr::Call(call) => {
                let (operand, field) = indexed_by_text(call)?;
                self.body_step(node, operand, field)
            }
            _ => None,
        }
    }

    fn body_step(&mut self, node: &IdedExpr, operand: &IdedExpr, field: &str) -> Option<Option<(Vec<String>, Kind)>> {
        let path = self.body_path(operand)?;
        let Some((mut names, kind)) = path else { return Some(None) };
        Some(self.member(node, &kind, field).map(|kind| {
            names.push(field.to_owned());
            (names, kind)
        }))
    }

    /// Tells the kind of a member of a value.
    pub(super) fn member(&mut self, node: &IdedExpr, kind: &Kind, field: &str) -> Option<Kind> {
        match (kind, self.operation) {
            (Kind::Any, _) | (Kind::Object(_), None) => Some(Kind::Any),
            (Kind::Object(pointer), Some(operation)) => {
                let place = format!("{pointer}/{}", field.replace('~', "~0").replace('/', "~1"));
                if let Some(kind) = Kind::of_place(&operation.body, &place) {
                    return Some(kind);
                }
                let before = format!("{pointer}/");
                let names = operation.body.fields.iter().filter_map(|(place, _)| place.strip_prefix(&*before));
                let known: Vec<&str> = names.filter(|name| !name.contains('/') && *name != "*").collect();
                let group =
                    if pointer.is_empty() { BODY.to_owned() } else { format!("{BODY}{}", pointer.replace('/', ".")) };
                self.unknown_member(node, &group, field, &known)
            }
            (Kind::List(..), _) => {
                let help = "what holds of its items is asked with `exists` and `all`".to_owned();
                self.refuse(node, &format!("a list has no member `{field}`"), Some(help))
            }
            (other, _) => self.refuse(node, &format!("{other} has no member `{field}`"), None),
        }
    }

    fn unknown_member<T>(&mut self, node: &IdedExpr, group: &str, field: &str, known: &[&str]) -> Option<T> {
        let help = match did_you_mean(field, known.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() => None,
            None => Some(format!("known are {}", listed(known.iter().copied()))),
        };
        self.refuse(node, &format!("`{group}` has no member `{field}`"), help)
    }

    fn list(&mut self, node: &IdedExpr, list: &ListExpr) -> Option<Node> {
        if list.elements.len() > LIST_ITEMS_MAX {
            let message = format!("a list has at most {LIST_ITEMS_MAX} items, this has {}", list.elements.len());
            return self.refuse(node, &message, None);
        }
        let walked: Vec<Option<Node>> = list.elements.iter().map(|item| self.walk(item)).collect();
        let items: Vec<Node> = walked.into_iter().collect::<Option<_>>()?;
        let mut kind = items.first().map_or(Kind::Any, |item| item.kind.clone());
        for (item, written) in items.iter().zip(&list.elements) {
            if matches!(item.kind, Kind::List(..) | Kind::Object(_)) {
                return self.refuse(written, &format!("{} cannot stand in a list here", item.kind), None);
            }
            match (&kind, &item.kind) {
                (known, other) if known == other => {}
                (Kind::Int | Kind::Number, Kind::Int | Kind::Number) => kind = Kind::Number,
                (Kind::Any | Kind::Null, _) | (_, Kind::Any | Kind::Null) => kind = Kind::Any,
                (known, other) => {
                    return self.refuse(written, &format!("the list begins with {known}, and here is {other}"), None);
                }
            }
        }
        let kind = Kind::List(Box::new(kind), items.len());
        let values: Option<Vec<Box<dyn Val>>> = items.iter().map(|item| literal_value(&item.expression.expr)).collect();
        if let Some(values) = values {
            return Some(self.constant(Box::new(CelList::from(values)), kind));
        }
        let cost = items.iter().fold(1, |sum: u64, item| sum.saturating_add(item.cost));
        let elements = items.into_iter().map(|item| item.expression).collect();
        Some(Node::new(Expr::List(ListExpr::new(elements)), kind, cost))
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Node> {
        let name = call.func_name.as_str();
        match (name, &call.target, call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, None, [left, right]) => self.logical(name, left, right),
            (operators::LOGICAL_NOT, None, [value]) => {
                let value_node = self.walk(value)?;
                self.need(value, &value_node, &Kind::Bool)?;
                Some(Node::call(name, vec![value_node], Kind::Bool, 0))
            }
            (operators::CONDITIONAL, None, [test, yes, no]) => self.choice(test, yes, no),
            (operators::EQUALS | operators::NOT_EQUALS, None, [left, right]) => self.equality(node, name, left, right),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                None,
                [left, right],
            ) => self.order(node, name, left, right),
            (
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                None,
                [left, right],
            ) => self.arithmetic(node, name, left, right),
            (operators::NEGATE, None, [value]) => self.negate(value),
            (operators::IN, None, [value, list]) => self.within(node, value, list),
            (operators::INDEX, None, [list, index]) => self.index(node, call, list, index),
            (_, None, args) => self.function(node, name, args),
            (_, Some(target), args) => self.method(node, name, target, args),
        }
    }

    fn logical(&mut self, name: &str, left: &IdedExpr, right: &IdedExpr) -> Option<Node> {
        let mut side = |written: &IdedExpr| {
            let node = self.walk(written)?;
            self.need(written, &node, &Kind::Bool)?;
            Some(node)
        };
        let (left, right) = (side(left), side(right));
        Some(Node::call(name, vec![left?, right?], Kind::Bool, 0))
    }

    fn choice(&mut self, test: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Option<Node> {
        let (first, second, third) = (self.walk(test), self.walk(yes), self.walk(no));
        let (first, second, third) = (first?, second?, third?);
        self.need(test, &first, &Kind::Bool)?;
        let kind = match (&second.kind, &third.kind) {
            (yes, no) if yes == no => yes.clone(),
            (Kind::Any, _) | (_, Kind::Any) => Kind::Any,
            (yes, other) => {
                let message = format!("both choices have to be of one kind; the first is {yes}, this is {other}");
                return self.refuse(no, &message, None);
            }
        };
        Some(Node::call(operators::CONDITIONAL, vec![first, second, third], kind, 0))
    }

    fn equality(&mut self, node: &IdedExpr, name: &str, left: &IdedExpr, right: &IdedExpr) -> Option<Node> {
        let (one, other) = (self.walk(left), self.walk(right));
        let (one, other) = (one?, other?);
        for (side, written) in [(&one, left), (&other, right)] {
            if matches!(side.kind, Kind::List(..) | Kind::Object(_)) {
                let help = "compare their members, or ask with `in`, `exists` or `all`".to_owned();
                return self.refuse(written, &format!("{} cannot be compared as a whole", side.kind), Some(help));
            }
        }
        match (&one.kind, &other.kind) {
            (Kind::Any, _) | (_, Kind::Any) => {
                let equal = Node::call(EQUAL, vec![one, other], Kind::Bool, TEXT_COST);
                let unequal = name == operators::NOT_EQUALS;
                return Some(if unequal {
                    Node::call(operators::LOGICAL_NOT, vec![equal], Kind::Bool, 0)
                } else {
                    equal
                });
            }
            (one, other) if one == other => {}
            (Kind::Int | Kind::Number, Kind::Int | Kind::Number) | (Kind::Null, _) | (_, Kind::Null) => {}
            (one, other) => {
                let help = conversion(one, other);
                return self.refuse(node, &format!("{one} is never equal to {other}"), help);
            }
        }
        Some(Node::call(name, vec![one, other], Kind::Bool, TEXT_COST))
    }

    fn order(&mut self, node: &IdedExpr, name: &str, left: &IdedExpr, right: &IdedExpr) -> Option<Node> {
        let (one, other) = (self.walk(left), self.walk(right));
        let (one, other) = (one?, other?);
        let fits = match (&one.kind, &other.kind) {
            (Kind::Text, Kind::Text) | (Kind::Time, Kind::Time) => true,
            (Kind::Any, Kind::Text | Kind::Time) | (Kind::Text | Kind::Time, Kind::Any) => true,
            (one, other) => one.may_be_number() && other.may_be_number(),
        };
        if !fits {
            let help = conversion(&one.kind, &other.kind);
            return self.refuse(node, &format!("{} and {} have no order", one.kind, other.kind), help);
        }
        Some(Node::call(name, vec![one, other], Kind::Bool, TEXT_COST))
    }

    fn arithmetic(&mut self, node: &IdedExpr, name: &str, left: &IdedExpr, right: &IdedExpr) -> Option<Node> {
        let (one, other) = (self.walk(left), self.walk(right));
        let (one, other) = (one?, other?);
        let whole_only = name == operators::MODULO;
        let kind = match (&one.kind, &other.kind) {
            (Kind::Int, Kind::Int) => Kind::Int,
            (Kind::Number, Kind::Number) if !whole_only => Kind::Number,
            (Kind::Any, Kind::Any) => Kind::Any,
            (Kind::Any, kind @ (Kind::Int | Kind::Number)) | (kind @ (Kind::Int | Kind::Number), Kind::Any) => {
                kind.clone()
            }
            (Kind::Int, Kind::Number) | (Kind::Number, Kind::Int) if !whole_only => {
                let help = "write whole numbers with `.0` where the other has decimals".to_owned();
                return self.refuse(
                    node,
                    "a whole number and a number with decimals cannot be reckoned together",
                    Some(help),
                );
            }
            (one, other) => {
                return self.refuse(node, &format!("{one} and {other} cannot be reckoned with"), None);
            }
        };
        if matches!(name, operators::DIVIDE | operators::MODULO) && is_zero(&other.expression.expr) {
            return self.refuse(right, "nothing can be divided by zero", None);
        }
        Some(Node::call(name, vec![one, other], kind, 0))
    }

    fn negate(&mut self, value: &IdedExpr) -> Option<Node> {
        let node = self.walk(value)?;
        if !node.kind.may_be_number() {
            return self.refuse(value, &format!("{} has no negative", node.kind), None);
        }
        let kind = node.kind.clone();
        if let Expr::Literal(literal) = &node.expression.expr {
            let negative = match literal {
                LiteralValue::Int(whole) => whole.inner().checked_neg().map(|whole| LiteralValue::Int(whole.into())),
                LiteralValue::Double(number) => Some(LiteralValue::Double((-*number.inner()).into())),
                _ => None,
            };
            if let Some(negative) = negative {
                return Some(Node::new(Expr::Literal(negative), kind, 1));
            }
        }
        Some(Node::call(operators::NEGATE, vec![node], kind, 0))
    }

    fn within(&mut self, node: &IdedExpr, value: &IdedExpr, list: &IdedExpr) -> Option<Node> {
        let (one, many) = (self.walk(value), self.walk(list));
        let (one, many) = (one?, many?);
        if matches!(one.kind, Kind::List(..) | Kind::Object(_)) {
            return self.refuse(value, &format!("{} cannot be looked for in a list", one.kind), None);
        }
        let items = match &many.kind {
            Kind::List(item, items) => {
                let fits = match (&one.kind, item.as_ref()) {
                    (Kind::Any | Kind::Null, _) | (_, Kind::Any) => true,
                    (Kind::Int | Kind::Number, Kind::Int | Kind::Number) => true,
                    (one, item) => one == item,
                };
                if !fits {
                    let message = format!("{} is never in a list of which an item is {item}", one.kind);
                    return self.refuse(node, &message, None);
                }
                *items
            }
            Kind::Any => LIST_ITEMS_MAX,
            other => {
                let help = "what stands on the right of `in` is a list, like ['A', 'B']".to_owned();
                return self.refuse(list, &format!("{other} is no list"), Some(help));
            }
        };
        let cost = u64::try_from(items).unwrap_or(u64::MAX);
        let one = if one.kind == Kind::Any { Node::call(SCALAR, vec![one], Kind::Any, 0) } else { one };
        Some(Node::call(operators::IN, vec![one, many], Kind::Bool, cost))
    }

    fn index(&mut self, node: &IdedExpr, call: &CallExpr, list: &IdedExpr, index: &IdedExpr) -> Option<Node> {
        if let Some((operand, field)) = indexed_by_text(call) {
            return self.select(node, operand, field);
        }
        let (many, at) = (self.walk(list), self.walk(index));
        let (many, at) = (many?, at?);
        self.need(index, &at, &Kind::Int)?;
        let kind = match &many.kind {
            Kind::List(item, _) => item.as_ref().clone(),
            Kind::Any => Kind::Any,
            other => return self.refuse(list, &format!("{other} has no items"), None),
        };
        Some(decimals(Node::call(operators::INDEX, vec![many, at], kind, 1)))
    }

    pub(super) fn need(&mut self, written: &IdedExpr, node: &Node, wanted: &Kind) -> Option<()> {
        if node.kind == *wanted || node.kind == Kind::Any {
            return Some(());
        }
        self.refuse(written, &format!("{wanted} is needed here, this is {}", node.kind), None)
    }

    pub(super) fn refuse<T>(&mut self, node: &IdedExpr, message: &str, help: Option<String>) -> Option<T> {
        self.fault(self.parsed.place(node), message.to_owned(), help);
        None
    }

    fn fault(&mut self, place: Range<usize>, message: String, help: Option<String>) {
        self.faults.push(ConditionFault { offset: place.start, length: place.len().max(1), message, help });
    }
}

/// A number with decimals may be written without them in a body: it is made one before it is reckoned with.
fn decimals(node: Node) -> Node {
    if node.kind == Kind::Number { Node::call(NUMBER, vec![node], Kind::Number, 0) } else { node }
}

pub(super) fn indexed_by_text(call: &CallExpr) -> Option<(&IdedExpr, &str)> {
    match call.args.as_slice() {
        [operand, index] if call.func_name == operators::INDEX => Some((operand, literal_text(index)?)),
        _ => None,
    }
}

pub(super) fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn literal_value(expression: &Expr) -> Option<Box<dyn Val>> {
    match expression {
        Expr::Literal(literal) => Some(literal.to_val().into_owned()),
        _ => None,
    }
}

fn is_zero(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(LiteralValue::Int(whole)) => *whole.inner() == 0,
        Expr::Literal(LiteralValue::Double(number)) => *number.inner() == 0.0,
        _ => false,
    }
}

/// Says what probably was meant where two kinds do not go together.
fn conversion(one: &Kind, other: &Kind) -> Option<String> {
    match (one, other) {
        (Kind::Object(_), _) | (_, Kind::Object(_)) => {
            Some("amounts of money are compared like `money(body.instructedAmount) > tenge(250000)`".to_owned())
        }
        (Kind::Time, Kind::Text) | (Kind::Text, Kind::Time) => {
            Some("a point in time is written like `timestamp('2026-12-31T19:00:00Z')`".to_owned())
        }
        _ => None,
    }
}
