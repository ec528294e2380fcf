//! What is wrong with a condition.

/// What is wrong with a condition, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionFault {
    /// Where it begins, in characters from the start of the text.
    pub offset: usize,
    /// How many characters.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ConditionFault {
    pub(super) fn whole(text: &str, message: &str, help: Option<String>) -> Self {
        Self { offset: 0, length: text.chars().count().max(1), message: message.to_owned(), help }
    }
}
