//! Contracts of any size, made up, but shaped like those that are published.

use openapi::Source;
use std::fmt::Write as _;

/// Operations of one document: published ones have seven on average.
const OPERATIONS: usize = 10;

/// Schemas of one document.
const SCHEMAS: usize = 60;

/// Documents of about `bytes` each, with ten operations; every name and path is its own.
#[must_use]
pub fn documents(count: usize, bytes: usize) -> Vec<Source> {
    (0..count).map(|number| Source { name: format!("apis/d{number}.yaml"), text: document(number, bytes) }).collect()
}

fn document(number: usize, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 4_096);
    text.push_str(&format!(
        "openapi: 3.0.3\ninfo:\n  title: Interface {number}\n  version: 1.0.0\nservers:\n  - url: https://api.example.kz/d{number}\nsecurity:\n  - token: [read]\npaths:\n"
    ));
    for operation in 0..OPERATIONS / 2 {
        paths(&mut text, number, operation);
    }
    text.push_str(COMPONENTS);
    text.push_str("  schemas:\n    Money: {type: object, required: [value], properties: {value: {type: string, maxLength: 19}}}\n");
    for schema in 0..SCHEMAS {
        object(&mut text, schema);
    }
    // What is left is said in words, as it is in published documents.
    let mut notes = 0;
    text.push_str("    Note:\n      type: object\n      properties:\n");
    while notes == 0 || text.len() < bytes {
        let _ = write!(
            text,
            "        note{notes}:\n          type: string\n          maxLength: 70\n          description: >-\n            A free text for the statement of the account holder; banks print the first seventy characters\n            and keep the rest, number {notes} of this interface.\n"
        );
        notes += 1;
    }
    text
}

fn paths(text: &mut String, number: usize, operation: usize) {
    let _ = write!(
        text,
        "  /d{number}/v1/things{operation}/{{thingId}}/parts/{{part-id}}:
    parameters:
      - $ref: '#/components/parameters/ThingId'
      - $ref: '#/components/parameters/PartId'
    get:
      operationId: get{number}x{operation}
      tags: [things]
      parameters:
        - $ref: '#/components/parameters/Page'
        - {{name: fromDate, in: query, schema: {{type: string, format: date}}}}
      responses:
        '200': {{$ref: '#/components/responses/Things'}}
{ERRORS}    post:
      operationId: post{number}x{operation}
      security:
        - token: [write]
      requestBody:
        required: true
        content:
          application/json:
            schema: {{$ref: '#/components/schemas/Thing{}'}}
          application/json; charset=utf-8:
            schema: {{$ref: '#/components/schemas/Thing{}'}}
      responses:
        '201':
          description: Made
          content:
            application/json:
              schema: {{$ref: '#/components/schemas/Thing{}'}}
{ERRORS}",
        operation * 5,
        operation * 5,
        operation * 5 + 1
    );
}

fn object(text: &mut String, number: usize) {
    let next = (number + 7) % SCHEMAS;
    let _ = write!(
        text,
        "    Thing{number}:
      type: object
      additionalProperties: false
      required: [id, amount]
      properties:
        id: {{type: string, format: uuid, description: Identifies the thing for as long as it exists.}}
        amount:
          allOf:
            - $ref: '#/components/schemas/Money'
        currency: {{type: string, pattern: '^[A-Z]{{3}}$', minLength: 3, maxLength: 3}}
        reference: {{type: string, pattern: '^(?!\\s)(.*)(\\S)$', maxLength: 35}}
        status: {{type: string, enum: [pending, accepted, rejected, settled]}}
        count: {{type: integer, format: int32, minimum: 0, maximum: 1000}}
        at: {{type: string, format: date-time, nullable: true}}
        parts:
          type: array
          maxItems: 100
          items: {{$ref: '#/components/schemas/Thing{next}'}}
        party:
          oneOf:
            - {{type: object, required: [iban], properties: {{iban: {{type: string, maxLength: 34}}}}}}
            - {{type: object, required: [phone], properties: {{phone: {{type: string, maxLength: 16}}}}}}
"
    );
}

const ERRORS: &str = "        '400': {$ref: '#/components/responses/Error'}
        '401': {$ref: '#/components/responses/Error'}
        '404': {$ref: '#/components/responses/Error'}
        '429': {$ref: '#/components/responses/Error'}
        '529': {$ref: '#/components/responses/Error'}
        default: {$ref: '#/components/responses/Error'}
";

const COMPONENTS: &str = "components:
  securitySchemes:
    token: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {read: Read, write: Write}}}}
  parameters:
    ThingId: {name: thingId, in: path, required: true, schema: {type: string, maxLength: 36}}
    PartId: {name: part-id, in: path, required: true, schema: {type: string, maxLength: 36}}
    Page: {name: page, in: query, schema: {type: integer, minimum: 1, default: 1}}
  responses:
    Error:
      description: Something is wrong
      content:
        application/problem+json:
          schema:
            type: object
            required: [type, status]
            properties: {type: {type: string}, status: {type: integer}, detail: {type: string}}
    Things:
      description: Things
      headers:
        x-total: {schema: {type: integer}}
      content:
        application/json:
          schema:
            type: object
            properties:
              data: {type: array, items: {$ref: '#/components/schemas/Thing0'}}
";
