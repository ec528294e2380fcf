//! Judging parameters: where they stand, how they are spelt, what their schema says.
//!
//! A text that has several readings is sound if one of those its schema allows is. What a client sent is never repeated in
//! a fault. Must never know a body.

use crate::form;
use crate::json;
use crate::judge::{self, BodyFault, Check, shown};
use crate::path;
use crate::style::{Decode, Kind, SPELT_MAX, Spelt, Style};
use serde_json::Value;
use std::borrow::Cow;

/// What an operation asks of one parameter.
#[derive(Debug)]
pub(crate) struct ParameterRule {
    /// As the client writes it; header names in lower case.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) required: bool,
    /// Whether nothing at all will do for a value.
    pub(crate) allow_empty: bool,
    pub(crate) spelling: Spelling,
    pub(crate) kind: Kind,
    pub(crate) check: Check,
    /// A value as the contract shows it; null where it is not required.
    pub(crate) shown: Value,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// How a value is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    Styled { style: Style, explode: bool },
    Json,
    Text,
}

/// One part of a parameter: the name of the property it belongs to, where it names one, and its raw text.
type Part<'t> = (Option<Cow<'t, str>>, &'t str);

impl ParameterRule {
    /// Judges a value of the path as it stands there, escapes and all.
    pub(crate) fn check_path(&self, raw: Option<&str>, faults: &mut Vec<BodyFault>) {
        let parts: Vec<Part<'_>> = raw.into_iter().map(|raw| (None, raw)).collect();
        self.check_parts(&parts, decode_path, faults);
    }

    /// Judges the values of a header; several lines are one list.
    pub(crate) fn check_header(&self, lines: &[String], faults: &mut Vec<BodyFault>) {
        let joined = lines.join(",");
        let parts: Vec<Part<'_>> = if lines.len() > 1 && (self.kind.list.is_some() || self.kind.map.is_some()) {
            vec![(None, &joined)]
        } else {
            lines.iter().map(|line| (None, line.as_str())).collect()
        };
        self.check_parts(&parts, decode_header, faults);
    }

    fn check_parts(&self, parts: &[Part<'_>], decode: Decode, faults: &mut Vec<BodyFault>) {
        match parts {
            [] if self.required => self.complain("required", "is required", faults),
            [] | [(None, "")] if parts.is_empty() || self.allow_empty => {}
            _ => match self.spelt(parts, decode) {
                Ok(spelt) => self.judge(&spelt, faults),
                Err((keyword, message)) => self.complain(keyword, message, faults),
            },
        }
    }

    /// Every way to take the parts apart; why not if there is none.
    fn spelt<'t>(&self, parts: &[Part<'t>], decode: Decode) -> Result<Vec<Spelt<'t>>, (&'static str, &'static str)> {
        if parts.len() > SPELT_MAX {
            return Err(("maxItems", "has too many parts"));
        }
        let style = |message| ("style", message);
        let Spelling::Styled { style: how, explode } = self.spelling else {
            let [(_, raw)] = parts else { return Err(("repeated", "may stand once only")) };
            return Ok(vec![Spelt::One(decode(raw).map_err(style)?)]);
        };
        let gathered = explode && matches!(how, Style::Form | Style::SpaceDelimited | Style::PipeDelimited);
        if gathered || how == Style::DeepObject {
            return self.gathered(parts, decode).map_err(|keyword| match keyword {
                "repeated" => (keyword, "may stand once only"),
                message => style(message),
            });
        }
        let [(_, raw)] = parts else { return Err(("repeated", "may stand once only")) };
        let mut found = Vec::new();
        let mut refused = None;
        for aim in self.kind.aims() {
            match how.split(explode, &self.name, raw, aim, decode) {
                Ok(spelt) => found.push(spelt),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        match refused {
            Some(why) if found.is_empty() => Err(style(why)),
            _ => Ok(found),
        }
    }

    /// Parts that each have a pair of their own in the query.
    fn gathered<'t>(&self, parts: &[Part<'t>], decode: Decode) -> Result<Vec<Spelt<'t>>, &'static str> {
        let mut map: Vec<(Cow<'t, str>, Vec<Cow<'t, str>>)> = Vec::new();
        let mut list = Vec::new();
        for (inside, raw) in parts {
            let text = decode(raw)?;
            match inside {
                Some(name) => match map.iter_mut().find(|(known, _)| known == name) {
                    Some((_, texts)) => texts.push(text),
                    None => map.push((name.clone(), vec![text])),
                },
                None => list.push(text),
            }
        }
        if !map.is_empty() {
            if !list.is_empty() || map.iter().any(|(name, texts)| texts.len() > 1 && !self.kind.lists(name)) {
                return Err("repeated");
            }
            return Ok(vec![Spelt::Map(map)]);
        }
        let mut found = Vec::new();
        if self.kind.list.is_some() {
            found.push(Spelt::List(list.clone()));
        }
        match (list.pop(), list.is_empty()) {
            (Some(only), true) if self.kind.is_scalar() => found.push(Spelt::One(only)),
            (Some(_), false) if found.is_empty() => return Err("repeated"),
            _ => {}
        }
        Ok(found)
    }

    fn judge(&self, spelt: &[Spelt<'_>], faults: &mut Vec<BodyFault>) {
        let mut nearest: Option<Value> = None;
        for spelt in spelt {
            for mut value in self.values(spelt) {
                if self.check.holds(&mut value) {
                    return;
                }
                nearest = nearest.or(Some(value));
            }
        }
        match nearest {
            Some(mut value) => self.check.complain(&mut value, &self.pointer(), faults),
            None if self.spelling == Spelling::Json => self.complain("type", "must be sound JSON", faults),
            None => self.complain("type", self.kind.expected(), faults),
        }
    }

    fn values(&self, spelt: &Spelt<'_>) -> Vec<Value> {
        match (self.spelling, spelt) {
            (Spelling::Json, Spelt::One(text)) => json::parse(text.as_bytes()).ok().into_iter().collect(),
            (Spelling::Text, Spelt::One(text)) => vec![Value::String(text.clone().into_owned())],
            _ => self.kind.values(spelt),
        }
    }

    pub(crate) fn complain(&self, keyword: &str, message: &str, faults: &mut Vec<BodyFault>) {
        judge::add(faults, self.pointer(), keyword, message);
    }

    fn pointer(&self) -> String {
        let place = match self.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
        };
        format!("{place}:{}", self.name)
    }

    /// Tells whether a pair of this name is this parameter's, and which property it is; the lower the closer.
    fn owns<'t>(&self, name: &Cow<'t, str>) -> Option<(u8, Option<Cow<'t, str>>)> {
        let Spelling::Styled { style, explode } = self.spelling else {
            return (self.name == *name).then_some((0, None));
        };
        if style == Style::DeepObject {
            let rest = name.strip_prefix(self.name.as_str())?.strip_prefix('[')?;
            let inside = rest.strip_suffix(']').filter(|inside| !inside.is_empty() && !inside.contains(['[', ']']))?;
            return Some((1, Some(Cow::Owned(inside.to_owned()))));
        }
        let Some(properties) = self.kind.map.as_deref().filter(|_| style == Style::Form && explode) else {
            return (self.name == *name).then_some((0, None));
        };
        if properties.named.iter().any(|(known, _)| known == name) {
            return Some((2, Some(name.clone())));
        }
        if self.name == *name && (self.kind.list.is_some() || self.kind.is_scalar()) {
            return Some((0, None));
        }
        properties.others.is_some().then(|| (3, Some(name.clone())))
    }
}

/// Judges a query against the parameters that may stand in it.
pub(crate) fn check_query(rules: &[ParameterRule], query: Option<&str>, faults: &mut Vec<BodyFault>) {
    let query = query.unwrap_or_default();
    if query.len() > form::QUERY_BYTES_MAX {
        let message = format!("the query may have at most {} bytes", form::QUERY_BYTES_MAX);
        judge::add(faults, "query:".to_owned(), "maxLength", &message);
        return;
    }
    let mut parts: Vec<Vec<Part<'_>>> = rules.iter().map(|_| Vec::new()).collect();
    for pair in form::raw_pairs(query) {
        let Ok((name, raw)) = pair else {
            judge::add(faults, "query:".to_owned(), "syntax", "the query cannot be read");
            return;
        };
        if let Err(name) = assign(rules, Place::Query, name, raw, &mut parts) {
            let pointer = format!("query:{}", shown(&name));
            judge::add(faults, pointer, "unknown", "is not described by the contract");
        }
    }
    for (rule, parts) in rules.iter().zip(parts).filter(|(rule, _)| rule.place == Place::Query) {
        rule.check_parts(&parts, form::decode, faults);
    }
}

/// Judges cookies against the parameters that stand in them; cookies nobody described are not our business.
pub(crate) fn check_cookies(rules: &[ParameterRule], lines: &[String], faults: &mut Vec<BodyFault>) {
    let mut parts: Vec<Vec<Part<'_>>> = rules.iter().map(|_| Vec::new()).collect();
    for pair in lines.iter().flat_map(|line| line.split(';')).filter(|pair| !pair.trim().is_empty()) {
        let (name, raw) = pair.trim_matches([' ', '\t']).split_once('=').unwrap_or((pair.trim(), ""));
        let _unknown = assign(rules, Place::Cookie, Cow::Borrowed(name), raw, &mut parts);
    }
    for (rule, parts) in rules.iter().zip(parts).filter(|(rule, _)| rule.place == Place::Cookie) {
        rule.check_parts(&parts, decode_cookie, faults);
    }
}

/// Gives a pair to the parameter it belongs to; its name comes back if there is none.
fn assign<'t>(
    rules: &[ParameterRule],
    place: Place,
    name: Cow<'t, str>,
    raw: &'t str,
    parts: &mut [Vec<Part<'t>>],
) -> Result<(), Cow<'t, str>> {
    let owners = rules.iter().zip(parts).filter(|(rule, _)| rule.place == place);
    let closest =
        owners.filter_map(|(rule, parts)| Some((rule.owns(&name)?, parts))).min_by_key(|((level, _), _)| *level);
    match closest {
        Some(((_, inside), parts)) => {
            parts.push((inside, raw));
            Ok(())
        }
        None => Err(name),
    }
}

fn decode_path(text: &str) -> Result<Cow<'_, str>, &'static str> {
    Ok(path::unescape(text).map_or(Cow::Borrowed(text), Cow::Owned))
}

fn decode_header(text: &str) -> Result<Cow<'_, str>, &'static str> {
    Ok(Cow::Borrowed(text.trim_matches([' ', '\t'])))
}

/// Unlike in a query, `+` is no space here: no browser writes it so.
fn decode_cookie(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text.contains('+') {
        return form::decode(&text.replace('+', "%2B")).map(|decoded| Cow::Owned(decoded.into_owned()));
    }
    form::decode(text)
}
