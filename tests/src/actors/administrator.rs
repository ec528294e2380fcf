//! Administrators, who come through a door of their own.

use serde_json::Value;
use spine::stage::Door;

use crate::world::{Answer, Ask, World};

/// An administrator of the sandbox with their token.
#[derive(Debug, Clone)]
pub struct Administrator {
    /// The token.
    pub token: String,
}

impl Administrator {
    /// Takes the role of an administrator: `aigerim` views, edits and approves, `daniyar` views and audits.
    #[must_use]
    pub fn of(world: &World, id: &str) -> Self {
        let all = world.tells()["admins"].as_array().unwrap();
        let record = all.iter().find(|record| record["id"] == id).unwrap_or_else(|| panic!("no administrator {id}"));
        let token = std::fs::read_to_string(record["token_file"].as_str().unwrap()).unwrap();
        Self { token: token.trim().to_owned() }
    }

    /// Adds the token to a request, and sends it through the administrators' door.
    #[must_use]
    pub fn dress(&self, ask: Ask) -> Ask {
        ask.at(Door::Admin).with("authorization", format!("Bearer {}", self.token))
    }

    /// Reads something.
    pub async fn get(&self, world: &World, target: &str) -> Answer {
        world.send(self.dress(Ask::get(target))).await
    }
}

/// Reads what was counted, as a scraper does.
pub async fn metrics(world: &World) -> String {
    let answer = world.send(Ask::get("/metrics").at(Door::Admin)).await;
    answer.succeeded(200).text()
}

/// Returns the generation that decides.
pub async fn generation(world: &World) -> u64 {
    let answer = Administrator::of(world, "aigerim").get(world, "/admin/generation").await;
    answer.succeeded(200).json().get("generation").and_then(Value::as_u64).unwrap()
}
