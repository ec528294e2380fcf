//! How a parameter is spelt (OpenAPI 3.0.4, section "Style Values"; RFC 6570) and what its texts are read as.
//!
//! Separators are found before escapes are written out, so that an escaped comma is never one. Must never know a schema:
//! what a text may be is handed in as a [`Kind`].

use crate::json;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// The most items of a list or properties of an object that one parameter spells.
pub(crate) const SPELT_MAX: usize = 256;

/// A `style`, for those whose texts stand alone; `deepObject` and exploded forms are taken apart by the query itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
}

/// The kinds of value a schema lets a parameter have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) text: bool,
    pub(crate) integer: bool,
    pub(crate) number: bool,
    pub(crate) boolean: bool,
    /// The kinds of a list's items, where it may be one.
    pub(crate) list: Option<Box<Kind>>,
    /// The kinds of an object's properties, where it may be one.
    pub(crate) map: Option<Box<Properties>>,
}

/// The kinds of an object's properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) named: Vec<(String, Kind)>,
    /// The kind of those without a name; `None` where there may be none.
    pub(crate) others: Option<Kind>,
}

/// The texts of a parameter, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spelt<'t> {
    One(Cow<'t, str>),
    List(Vec<Cow<'t, str>>),
    Map(Vec<(Cow<'t, str>, Vec<Cow<'t, str>>)>),
}

/// What a text is taken apart as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    One,
    List,
    Map,
}

/// Writes the escapes of one part out; says why not.
pub(crate) type Decode = for<'t> fn(&'t str) -> Result<Cow<'t, str>, &'static str>;

impl Style {
    /// Takes one raw text apart; `name` is the parameter's.
    pub(crate) fn split<'t>(
        self,
        explode: bool,
        name: &str,
        raw: &'t str,
        aim: Aim,
        decode: Decode,
    ) -> Result<Spelt<'t>, &'static str> {
        match self {
            Style::Label => {
                let rest = raw.strip_prefix('.').ok_or("must start with a dot")?;
                plain(rest, if explode { "." } else { "," }, explode, aim, decode)
            }
            Style::Matrix => matrix(explode, name, raw, aim, decode),
            Style::SpaceDelimited if raw.contains('+') && aim != Aim::One => plain(raw, "+", false, aim, decode),
            Style::SpaceDelimited => plain(raw, "%20", false, aim, decode),
            Style::PipeDelimited if raw.contains('|') || aim == Aim::One => plain(raw, "|", false, aim, decode),
            Style::PipeDelimited => plain(raw, if raw.contains("%7c") { "%7c" } else { "%7C" }, false, aim, decode),
            Style::Simple | Style::Form | Style::DeepObject => plain(raw, ",", explode, aim, decode),
        }
    }
}

fn plain<'t>(
    raw: &'t str,
    separator: &str,
    explode: bool,
    aim: Aim,
    decode: Decode,
) -> Result<Spelt<'t>, &'static str> {
    let parts = || raw.split(separator).filter(|_| !raw.is_empty());
    if aim != Aim::One && parts().nth(SPELT_MAX).is_some() {
        return Err("has too many parts");
    }
    match aim {
        Aim::One => decode(raw).map(Spelt::One),
        Aim::List => parts().map(decode).collect::<Result<_, _>>().map(Spelt::List),
        Aim::Map if explode => {
            let pair = |part: &'t str| {
                let (key, value) = part.split_once('=').ok_or("must be pairs of name and value")?;
                Ok((decode(key)?, vec![decode(value)?]))
            };
            distinct(parts().map(pair).collect::<Result<_, &'static str>>()?)
        }
        Aim::Map => {
            let mut pairs = Vec::new();
            let mut parts = parts();
            while let Some(key) = parts.next() {
                let value = parts.next().ok_or("must be pairs of name and value")?;
                pairs.push((decode(key)?, vec![decode(value)?]));
            }
            distinct(pairs)
        }
    }
}

fn matrix<'t>(explode: bool, name: &str, raw: &'t str, aim: Aim, decode: Decode) -> Result<Spelt<'t>, &'static str> {
    let rest = raw.strip_prefix(';').ok_or("must start with a semicolon and its name")?;
    let own = |part: &'t str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if decode(key)? == name { Ok(value) } else { Err("must start with a semicolon and its name") }
    };
    match (aim, explode) {
        (Aim::Map, true) => plain(rest, ";", true, aim, decode),
        (Aim::List, true) => {
            if rest.split(';').nth(SPELT_MAX).is_some() {
                return Err("has too many parts");
            }
            rest.split(';').map(|part| decode(own(part)?)).collect::<Result<_, _>>().map(Spelt::List)
        }
        _ => plain(own(rest)?, ",", false, aim, decode),
    }
}

/// Two readers may take two different ones of a name that comes twice.
fn distinct<'t>(pairs: Vec<(Cow<'t, str>, Vec<Cow<'t, str>>)>) -> Result<Spelt<'t>, &'static str> {
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    if names.windows(2).any(|two| matches!(two, [a, b] if a == b)) {
        return Err("names a property twice");
    }
    Ok(Spelt::Map(pairs))
}

impl Kind {
    /// The kind of anything that is no list and no object.
    pub(crate) fn any_scalar() -> Kind {
        Kind { text: true, integer: true, number: true, boolean: true, ..Kind::default() }
    }

    /// The kind of a text.
    pub(crate) fn only_text() -> Kind {
        Kind { text: true, ..Kind::default() }
    }

    /// Tells whether the values of a property may be a list.
    pub(crate) fn lists(&self, property: &str) -> bool {
        let of = |known: &Properties| {
            let named = known.named.iter().find(|(own, _)| own == property).map(|(_, kind)| kind);
            named.or(known.others.as_ref()).is_some_and(|kind| kind.list.is_some())
        };
        self.map.as_deref().is_some_and(of)
    }

    /// Tells whether one text can be such a value.
    pub(crate) fn is_scalar(&self) -> bool {
        self.text || self.integer || self.number || self.boolean
    }

    /// What the texts of a parameter may be taken apart as, the most structured first.
    pub(crate) fn aims(&self) -> impl Iterator<Item = Aim> {
        let map = self.map.is_some().then_some(Aim::Map);
        let list = self.list.is_some().then_some(Aim::List);
        let one = self.is_scalar().then_some(Aim::One);
        [map, list, one].into_iter().flatten()
    }

    /// What the texts may mean, the narrowest reading first; at most two for each way to take them apart.
    pub(crate) fn values(&self, spelt: &Spelt<'_>) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::new();
        for narrow in [true, false] {
            if let Some(value) = self.value(spelt, narrow)
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
        values
    }

    fn value(&self, spelt: &Spelt<'_>, narrow: bool) -> Option<Value> {
        match spelt {
            Spelt::One(text) => self.scalar(text, narrow),
            Spelt::List(texts) => {
                let items = self.list.as_deref()?;
                texts.iter().map(|text| items.scalar(text, narrow)).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            Spelt::Map(pairs) => {
                let properties = self.map.as_deref()?;
                let mut map = Map::new();
                for (name, texts) in pairs {
                    // What nobody described is a text: the schema refuses it where it must not be there.
                    let plain = Kind::only_text();
                    let named = properties.named.iter().find(|(known, _)| known == name).map(|(_, kind)| kind);
                    let kind = named.or(properties.others.as_ref()).unwrap_or(&plain);
                    map.insert(name.clone().into_owned(), kind.property(texts, narrow)?);
                }
                Some(Value::Object(map))
            }
        }
    }

    fn property(&self, texts: &[Cow<'_, str>], narrow: bool) -> Option<Value> {
        match (&self.list, texts) {
            (Some(items), _) => {
                let items = texts.iter().map(|text| items.scalar(text, narrow));
                items.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (None, [text]) => self.scalar(text, narrow),
            (None, _) => None,
        }
    }

    /// Reads one text; only JSON's own spelling of numbers counts.
    pub(crate) fn scalar(&self, text: &str, narrow: bool) -> Option<Value> {
        if narrow || !self.text {
            let found = (self.boolean.then(|| boolean(text)).flatten())
                .or_else(|| self.integer.then(|| integer(text)).flatten())
                .or_else(|| self.number.then(|| number(text)).flatten());
            if found.is_some() {
                return found;
            }
        }
        self.text.then(|| Value::String(text.to_owned()))
    }

    /// What to tell somebody whose text is none of these.
    pub(crate) fn expected(&self) -> &'static str {
        match (self.integer, self.number, self.boolean, self.list.is_some(), self.map.is_some()) {
            (true, false, false, false, false) => "must be an integer",
            (_, true, false, false, false) => "must be a number",
            (false, false, true, false, false) => "must be true or false",
            (_, _, _, true, false) => "must be a list of the described values",
            (_, _, _, false, true) => "must be an object of the described values",
            _ => "must be of another type",
        }
    }
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn integer(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text == "0" || (!digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()));
    // An empty text and a lone sign fail to parse.
    let number = text.parse::<i64>().ok().filter(|_| plain)?;
    (number.unsigned_abs() <= json::INTEGER_MAX).then(|| Value::Number(Number::from(number)))
}

fn number(text: &str) -> Option<Value> {
    let starts =
        text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_digit());
    json::parse(text.as_bytes()).ok().filter(|value| starts && value.is_number())
}
