//! The form of a policy file for editors and reviewers: a JSON schema, made of the rule's own fields.

use serde_json::{Map, Value, json};

use super::{Policy, Rule, Template};
use crate::class::Class;

impl Policy {
    /// The JSON schema of a policy file.
    #[must_use]
    pub fn schema() -> Value {
        let mut fields = Map::new();
        for (field, words, form) in Rule::forms() {
            let cited = json!({
                "type": "object",
                "properties": { "value": form, "cite": { "type": "string" } },
                "required": ["value", "cite"],
                "additionalProperties": false,
            });
            fields.insert(field.to_owned(), json!({ "description": words, "oneOf": [form, cited] }));
        }
        let rule = json!({ "type": "object", "properties": fields, "additionalProperties": false });
        let by_class: Map<String, Value> = Class::ALL
            .iter()
            .map(|class| (class.word().to_owned(), json!({ "$ref": "#/$defs/rule" })))
            .collect();
        let templates = Template::ALL.map(Template::name);
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Policy for keys",
            "type": "object",
            "properties": {
                "policy": { "type": "string", "description": "Its name." },
                "version": { "type": "integer", "minimum": 0, "description": "Counts up." },
                "extends": { "enum": templates, "description": "What holds where the file says nothing." },
                "all": { "$ref": "#/$defs/rule", "description": "For every class." },
                "class": {
                    "type": "object",
                    "properties": by_class,
                    "required": Class::ALL.map(Class::word),
                    "additionalProperties": false,
                    "description": "By class.",
                },
                "key": {
                    "type": "object",
                    "additionalProperties": { "$ref": "#/$defs/rule" },
                    "description": "By name, written class/name.",
                },
            },
            "required": ["policy", "version", "class"],
            "additionalProperties": false,
            "$defs": { "rule": rule },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of JSON schema as ours uses.
    fn fits(value: &Value, form: &Value, root: &Value) -> bool {
        if let Some(target) = form["$ref"].as_str() {
            return fits(value, root.pointer(&target[1..]).unwrap(), root);
        }
        if let Some(one) = form["oneOf"].as_array() {
            return one.iter().filter(|form| fits(value, form, root)).count() == 1;
        }
        if let Some(known) = form["enum"].as_array() {
            return known.contains(value);
        }
        match form["type"].as_str().unwrap() {
            "string" => value.as_str().is_some_and(|text| {
                let span = |text: &str| text.parse::<crate::when::Span>().is_ok();
                form["pattern"].is_null() || span(text)
            }),
            "boolean" => value.is_boolean(),
            "integer" => value.as_u64().is_some_and(|number| {
                let most = form["maximum"].as_u64().unwrap_or(u64::MAX);
                number <= most && number >= form["minimum"].as_u64().unwrap_or(0)
            }),
            "array" => {
                value.as_array().is_some_and(|list| list.iter().all(|item| fits(item, &form["items"], root)))
            }
            "object" => value.as_object().is_some_and(|object| {
                let known = form["properties"].as_object();
                let required = form["required"].as_array().into_iter().flatten();
                let fit = |(key, value): (&String, &Value)| match known.and_then(|known| known.get(key)) {
                    Some(form) => fits(value, form, root),
                    None => {
                        form["additionalProperties"].is_object()
                            && fits(value, &form["additionalProperties"], root)
                    }
                };
                required.into_iter().all(|key| object.contains_key(key.as_str().unwrap()))
                    && object.iter().all(fit)
            }),
            other => panic!("{other} is not used"),
        }
    }

    fn value(text: &str) -> Value {
        serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
    }

    /// What the program takes the schema takes, and what it refuses the schema refuses.
    #[test]
    fn schema_and_reader_agree() {
        let schema = Policy::schema();
        let text = Template::Default.text();
        for template in Template::ALL {
            assert!(fits(&value(template.text()), &schema, &schema), "{}", template.name());
        }
        let wrong = [
            ("version = 1", "version = \"one\""),
            ("offline_cache = { value = \"7d\"", "offline_cache = { value = \"7w\""),
            ("renew_at = { value = 90", "renew_at = { value = 256"),
            ("roll_back = { value = true", "roll_back = { value = \"yes\""),
            ("at_deadline = { value = \"go\"", "at_deadline = { value = \"stay\""),
            ("[class.round]", "[class.rounds]"),
            ("keep_versions = {", "keep_version = {"),
            ("triggers = { value = [\"compromise\"", "triggers = { value = [\"compromised\""),
        ];
        for (from, to) in wrong {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            assert!(Policy::parse(&other).is_err(), "{to}");
            assert!(!fits(&value(&other), &schema, &schema), "{to}");
        }
    }
}
