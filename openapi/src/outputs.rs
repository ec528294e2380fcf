//! Reading what an operation answers: statuses, headers and bodies.

use crate::answer::{AnswerRule, Answers};
use crate::document::{Entry, Node};
use crate::parameter::{ParameterRule, Place};
use crate::reader::Reader;
use crate::schema::Way;
use std::sync::Arc;

impl<'d> Reader<'d> {
    /// The answers of an operation, by their statuses.
    pub(crate) fn answers(&mut self, node: Option<&'d Node>) -> Answers {
        let mut answers = Answers::default();
        for entry in node.map_or(&[][..], Node::entries).iter().filter(|entry| !entry.key.starts_with("x-")) {
            let Some(rule) = self.answer(&entry.value) else { continue };
            if !answers.add(&entry.key, rule) {
                self.faults.add_with_help(
                    entry.mark,
                    "no status of an answer",
                    "write a status from 100 to 599, a range (`4XX`) or `default`",
                );
            }
        }
        answers
    }

    /// One answer; what several operations refer to is read once.
    fn answer(&mut self, node: &'d Node) -> Option<Arc<AnswerRule>> {
        let node = self.resolve(node, "responses")?;
        let place = std::ptr::from_ref(node);
        if let Some(known) = self.answers.get(&place) {
            return Some(Arc::clone(known));
        }
        self.known_keys(node, &["description", "headers", "content", "links"]);
        let headers = node.get("headers").map_or(&[][..], Node::entries);
        let headers = headers.iter().filter_map(|entry| self.header(entry)).collect();
        let media = self.media_types(node.get("content").map_or(&[][..], Node::entries), Way::Out);
        let rule = Arc::new(AnswerRule { headers, media });
        self.answers.insert(place, Arc::clone(&rule));
        Some(rule)
    }

    fn header(&mut self, entry: &'d Entry) -> Option<ParameterRule> {
        let node = self.resolve(&entry.value, "headers")?;
        let name = entry.key.to_ascii_lowercase();
        // The media type says this one.
        if name == "content-type" {
            return None;
        }
        // Bodies of answers were never held to what a header says of itself in words only.
        if node.get("schema").is_none() && node.get("content").is_none() {
            self.faults.warn(entry.mark, "nothing is said of this header: any value will do", "give it a `schema`");
            return None;
        }
        let mut rule = self.value_rule(node, name, Place::Header, Way::Out)?;
        rule.required = node.get("required").and_then(Node::boolean) == Some(true);
        Some(rule)
    }
}
