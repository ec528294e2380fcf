//! Values that conditions are evaluated over: the body's objects and lists without a copy, and what `cel` has no type for.
//!
//! Functions that come with them begin with `@`, which no text can name: the checker puts them in.

use std::any::Any;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, OnceLock};

use cel::common::traits::{Comparer, Container, Indexer, Iterable, Iterator as Items, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelNull, CelString, CelUInt, DYN_TYPE, Kind as CelKind, LIST_TYPE, MAP_TYPE,
    STRING_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};
use regex::Regex;
use serde_json::Value;

use super::context::LIST_ITEMS_MAX;
use crate::national::money::Money;
use crate::network::AddressRange;
use crate::time::Timestamp;

/// The longest text of a request that a condition looks at, in bytes: functions on texts take time by their length.
pub const TEXT_VALUE_BYTES_MAX: usize = 4096;

/// The function that reads an amount.
pub(super) const MONEY: &str = "@money";
/// The function that makes a number with decimals of any number.
pub(super) const NUMBER: &str = "@number";
/// The function that compares where the contract does not tell what.
pub(super) const EQUAL: &str = "@equal";
/// The function that lets pass what is neither an object nor a list.
pub(super) const SCALAR: &str = "@scalar";
/// The function that looks for a pattern.
pub(super) const MATCHES: &str = "@matches";
/// The function that looks into a network.
pub(super) const IN_NETWORK: &str = "@in_network";

/// The functions that conditions are evaluated with.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let added = [
        env.add_overload(MONEY, "money_map", vec![MAP_TYPE], money),
        env.add_overload(NUMBER, "number_dyn", vec![DYN_TYPE], number),
        env.add_overload(EQUAL, "equal_dyn", vec![DYN_TYPE, DYN_TYPE], equal),
        env.add_overload(SCALAR, "scalar_dyn", vec![DYN_TYPE], scalar),
        env.add_overload(MATCHES, "matches_pattern", vec![STRING_TYPE, PATTERN_TYPE.to_owned()], matches),
        env.add_overload(IN_NETWORK, "in_network", vec![STRING_TYPE, NETWORK_TYPE.to_owned()], in_network),
    ];
    debug_assert!(added.iter().all(Result::is_ok), "each name is new");
    Arc::new(env)
});

/// A value of the request that is longer than a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Takes a value of the body; `decimals` says that the contract calls it a number, not a whole one.
pub(super) fn of_json<'a>(value: &'a Value, decimals: bool) -> Result<Box<dyn Val + 'a>, TooLarge> {
    Ok(match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) if decimals => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Box::new(CelInt::from(whole)),
            (None, Some(whole)) => Box::new(CelUInt::from(whole)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) if text.len() > TEXT_VALUE_BYTES_MAX => return Err(TooLarge),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) if items.len() > LIST_ITEMS_MAX => return Err(TooLarge),
        Value::Array(_) | Value::Object(_) => Box::new(Json { value, items: OnceLock::new() }),
    })
}

/// An object or a list of the body; members are taken when they are asked for.
#[derive(Debug)]
struct Json<'a> {
    value: &'a Value,
    items: OnceLock<Vec<Box<dyn Val + 'a>>>,
}

impl<'a> Json<'a> {
    // What goes through a list needs its items to stay where they are.
    fn items(&self) -> &[Box<dyn Val + 'a>] {
        self.items.get_or_init(|| {
            let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().map(|item| of_json(item, false).unwrap_or_else(|TooLarge| Box::new(Unfit))).collect()
        })
    }
}

impl Val for Json<'_> {
    fn get_type(&self) -> &Type {
        if self.value.is_array() { &LIST_TYPE } else { &MAP_TYPE }
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.value.is_array().then_some(self as &dyn Container)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        self.value.is_array().then_some(self as &(dyn Iterable + 'v))
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.value.is_array().then_some(self as &dyn Sizer)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Json { value: self.value, items: OnceLock::new() })
    }
}

impl Indexer for Json<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let found = match (index.downcast_ref::<CelString>(), index.downcast_ref::<CelInt>()) {
            (Some(name), _) => self.value.get(name.inner()),
            (None, Some(at)) => usize::try_from(*at.inner()).ok().and_then(|at| self.value.get(at)),
            (None, None) => None,
        };
        let found = found.ok_or_else(|| ExecutionError::no_such_key(""))?;
        of_json(found, false).map(CowVal::Owned).map_err(|TooLarge| ExecutionError::function_error("", TOO_LARGE))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Container for Json<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.items().iter().any(|item| value.equals(item.as_ref())))
    }
}

impl Iterable for Json<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Items<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(JsonItems(self.items().iter()))
    }
}

impl Sizer for Json<'_> {
    fn size(&self) -> CelInt {
        let size = self.value.as_array().map_or(0, Vec::len);
        CelInt::from(i64::try_from(size).unwrap_or(i64::MAX))
    }
}

struct JsonItems<'b, 'a>(std::slice::Iter<'b, Box<dyn Val + 'a>>);

impl<'b, 'a: 'v, 'v> Items<'b, 'v> for JsonItems<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|item| item.as_ref() as &'b (dyn Val + 'v))
    }
}

/// What message an evaluation ends with if a value is too long to look at.
pub(super) const TOO_LARGE: &str = "a value is longer than conditions look at";

/// An item that is too long to look at: whatever is asked of it fails.
#[derive(Debug, Clone, Copy)]
struct Unfit;

static UNFIT_TYPE: Type = Type::new_unspecified_type("unfit");

impl Val for Unfit {
    fn get_type(&self) -> &Type {
        &UNFIT_TYPE
    }

    fn cel_type() -> &'static Type {
        &UNFIT_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Unfit {}

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant(pub(super) Timestamp);

static INSTANT_TYPE: Type = Type::new_unspecified_type("instant");

impl Val for Instant {
    fn get_type(&self) -> &Type {
        &INSTANT_TYPE
    }

    fn cel_type() -> &'static Type {
        &INSTANT_TYPE
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Instant>().is_some_and(|other| other.0 == self.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Instant {}

impl Comparer for Instant {
    fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
        let other = other.downcast_ref::<Instant>().ok_or_else(|| unfit(other))?;
        Ok(self.0.cmp(&other.0))
    }
}

/// A regular expression that was compiled when the condition was.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub(super) Regex);

static PATTERN_TYPE: Type = Type::new_unspecified_type("pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// A network that was read when the condition was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network(pub(super) AddressRange);

static NETWORK_TYPE: Type = Type::new_unspecified_type("network");

impl Val for Network {
    fn get_type(&self) -> &Type {
        &NETWORK_TYPE
    }

    fn cel_type() -> &'static Type {
        &NETWORK_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Network {}

fn unfit(value: &dyn Val) -> ExecutionError {
    ExecutionError::UnexpectedType { got: value.get_type().name().to_owned(), want: String::new() }
}

fn nothing() -> ExecutionError {
    ExecutionError::missing_argument_or_target()
}

fn money<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let object = args.first().and_then(|value| value.as_indexer()).ok_or_else(nothing)?;
    let member = |name: &str| object.get(&CelString::from(name));
    let (amount, currency) = (member("amount")?, member("currency")?);
    let text = |value: &CowVal<'_, '_>| value.downcast_ref::<CelString>().map(|text| text.inner().to_owned());
    let (Some(amount), Some(currency)) = (text(&amount), text(&currency)) else { return Err(nothing()) };
    let money = Money::parse(&amount, &currency).map_err(|_| ExecutionError::function_error("", BAD_MONEY))?;
    Ok(CowVal::owned(CelInt::from(money.tiyn())))
}

/// What message an evaluation ends with if an amount is no amount.
pub(super) const BAD_MONEY: &str = "an amount is malformed or in another currency";

fn number<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.first().ok_or_else(nothing)?;
    if let Some(whole) = value.downcast_ref::<CelInt>() {
        // As precise as JSON numbers are to most who write them.
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is more precise than a double is no number but an identifier"
        )]
        return Ok(CowVal::owned(CelDouble::from(*whole.inner() as f64)));
    }
    match value.downcast_ref::<CelDouble>() {
        Some(number) => Ok(CowVal::owned(CelDouble::from(*number.inner()))),
        None => Err(unfit(value.as_ref())),
    }
}

fn equal<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = args.as_slice() else { return Err(nothing()) };
    for side in [left, right] {
        is_scalar(side.as_ref())?;
    }
    Ok(CowVal::owned(CelBool::from(left.equals(right.as_ref()))))
}

fn scalar<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.into_iter().next().ok_or_else(nothing)?;
    is_scalar(value.as_ref())?;
    Ok(value)
}

// An object is equal to nothing here: a caller who sends one in place of a text would pass for not being that text.
fn is_scalar(value: &dyn Val) -> Result<(), ExecutionError> {
    let compound = matches!(value.get_type().kind(), CelKind::List | CelKind::Map);
    if compound || value.downcast_ref::<Unfit>().is_some() { Err(unfit(value)) } else { Ok(()) }
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = args.as_slice() else { return Err(nothing()) };
    let text = text.downcast_ref::<CelString>().ok_or_else(|| unfit(text.as_ref()))?;
    let pattern = pattern.downcast_ref::<Pattern>().ok_or_else(nothing)?;
    Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner()))))
}

fn in_network<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, network] = args.as_slice() else { return Err(nothing()) };
    let text = text.downcast_ref::<CelString>().ok_or_else(|| unfit(text.as_ref()))?;
    let network = network.downcast_ref::<Network>().ok_or_else(nothing)?;
    let address: IpAddr = text.inner().parse().map_err(|_| ExecutionError::function_error("", BAD_ADDRESS))?;
    Ok(CowVal::owned(CelBool::from(network.0.contains(address))))
}

/// What message an evaluation ends with if an address is no address.
pub(super) const BAD_ADDRESS: &str = "a text is no address";
