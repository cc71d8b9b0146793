use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Deadline, Limit, Period, Policy, PolicyError, Problem, Regions, Rule, Scope, Template};
use crate::class::Class;
use crate::inventory::event::Trigger;
use crate::inventory::word::Region;
use crate::when::Span;

const OURS: &str = "our default, no figure in the text";

fn extended(text: &str) -> Policy {
    let given = |class: &Class| text.contains(&format!("[class.{class}]"));
    let classes: String =
        Class::ALL.into_iter().filter(|c| !given(c)).map(|class| format!("[class.{class}]\n")).collect();
    let head = "policy = \"test\"\nversion = 1\nextends = \"default\"\n";
    Policy::parse(&format!("{head}{text}\n{classes}")).unwrap()
}

/// I2: every value of every template says which clause it answers, or that it answers none.
#[test]
fn every_value_of_a_template_is_cited() {
    for template in Template::ALL {
        let policy = template.policy().unwrap();
        assert_eq!(policy.name, template.name());
        for (scope, _) in policy.rules() {
            for field in Rule::FIELDS {
                let cite = policy.cite(scope, field).unwrap_or_default();
                let clause = CLAUSES.iter().any(|text| cite.starts_with(text));
                assert!(
                    clause || cite == OURS || cite.starts_with(&format!("{OURS}: ")),
                    "{}: {scope} {field}: {cite:?}",
                    template.name()
                );
            }
        }
    }
}

/// What a citation begins with.
const CLAUSES: &[&str] = &["SP 800-57 part 1 rev. 5, table ", "PCI DSS 4.0.1, ", "45 CFR 164."];

/// I2, [KL-5]: no template contradicts itself, and none but `default` is weaker than `default`.
#[test]
fn templates_hold_together() {
    for template in Template::ALL {
        let policy = template.policy().unwrap();
        assert_eq!(policy.check(), [], "{}", template.name());
        let default = Template::Default.policy().unwrap();
        let weaker = policy.weaker_than(&default);
        assert!(weaker.is_empty(), "{}: {weaker:?}", template.name());
    }
}

/// B6: without a rule for a class there is no policy, and the error names the class.
#[test]
fn a_missing_class_is_named() {
    let text = Template::Default.text();
    for class in Class::ALL {
        let head = format!("[class.{class}]");
        let (before, after) = text.split_once(&head).unwrap();
        let rest = after.split_once("\n[").map_or("", |(_, rest)| rest);
        let without = format!("{before}[{rest}");
        assert_eq!(Policy::parse(&without), Err(PolicyError::Missing { class }), "{class}");
        assert!(PolicyError::Missing { class }.to_string().contains(class.word()));
    }
}

#[test]
fn what_is_unknown_or_missing_is_refused() {
    let head = "policy = \"p\"\nversion = 1\n";
    for wrong in [
        "policies = 1",
        "[all]\noriginator = \"1d\"",
        "[class.unknown]",
        "[all]\nkeep_for = \"1w\"",
        "[all]\nkeep_for = { value = \"1d\", site = \"x\" }",
        "[all]\nmax_operations = -1",
        "extends = \"none\"",
    ] {
        let parsed = Policy::parse(&format!("{head}{wrong}"));
        assert!(matches!(parsed, Err(PolicyError::Form(_))), "{wrong}: {parsed:?}");
    }
    let classes: String = Class::ALL.into_iter().map(|class| format!("[class.{class}]\n")).collect();
    let lacking = Policy::parse(&format!("{head}{classes}"));
    let scope = Scope::Class(Class::Participant);
    assert_eq!(lacking, Err(PolicyError::Field { scope, field: "originator_period" }));
}

#[test]
fn the_nearest_word_counts() {
    let name = |text: &str| text.parse().unwrap();
    let policy = extended(
        "[all]\nkeep_versions = 9\n[class.model]\nkeep_versions = 8\noriginator_period = \"60d\"\n\
         [key.\"model/night\"]\noriginator_period = \"30d\"\n",
    );
    let rule = |text: &str| policy.rule(&name(text)).clone();
    let originator = |text: &str| rule(text).originator_period.span().unwrap();
    assert_eq!((originator("model/night"), originator("model/day")), (Span::days(30), Span::days(60)));
    assert_eq!((rule("model/night").keep_versions, rule("coordinator/a").keep_versions), (8, 9));
    // The template sets this name apart, `[all]` reaches it too.
    let coordinator = rule("transport/coordinator");
    assert_eq!((coordinator.originator_period.span(), coordinator.keep_versions), (Some(Span::DAY), 9));
    // A value of one's own loses the citation of the value it replaces.
    assert_eq!(policy.cite(&Scope::Class(Class::Model), "originator_period"), None);
    assert_eq!(policy.cite(&Scope::Class(Class::Model), "recipient_period"), Some(OURS));
}

/// Each contradiction is found, by its own name.
#[test]
fn contradictions_are_found() {
    let table = [
        // [KL-5]
        ("model", "recipient_period = \"91d\"", Problem::RecipientTooShort),
        ("model", "originator_period = \"unlimited\"", Problem::RecipientTooShort),
        ("model", "retiring_time = \"1h\"", Problem::OverlapTooShort),
        // [KL-4]
        ("model", "propagation_time = \"5d\"", Problem::NoTimeToPropagate),
        ("model", "propagation_acks = 101", Problem::Percentage),
        ("model", "renew_at = 20\njitter = 11", Problem::Renewal),
        ("model", "renew_at = 0\njitter = 0", Problem::Renewal),
        ("model", "canary = [10, 50]", Problem::Canary),
        ("collective", "canary = [50, 100]", Problem::AllOrNothing),
        ("round", "roll_back = true", Problem::RollBack),
        ("model", "regions = []", Problem::NoRegion),
        ("round", "max_operations = 2", Problem::UsedOnce),
        ("model", "max_bytes = 0", Problem::Nothing),
    ];
    for (class, text, problem) in table {
        let found: Vec<Problem> =
            extended(&format!("[class.{class}]\n{text}")).check().into_iter().map(|c| c.problem).collect();
        assert_eq!(found, [problem], "{text}");
    }
}

/// I1, I2: what is weaker than a template, or than the version before, is called so; nothing else is.
#[test]
fn weakening_is_called_so() {
    let default = Template::Default.policy().unwrap();
    let looser = extended("[class.model]\noriginator_period = \"80d\"\nmin_strength = 112");
    let found = looser.weaker_than(&default);
    let found: Vec<_> =
        found.iter().map(|w| (&w.scope, w.field, w.says.as_str(), w.other.as_str())).collect();
    assert_eq!(found, [(&Scope::Class(Class::Model), "min_strength", "112", "128")]);

    let differences = default.diff(&looser);
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["K6 model  originator_period: 90d -> 80d", "K6 model  min_strength: 128 -> 112  WEAKER"]
    );
    assert!(looser.diff(&default).iter().any(|difference| difference.weaker));
    assert_eq!(default.diff(&default), []);
}

/// A name that is set apart in one version only is compared with what counted for it before.
#[test]
fn a_name_set_apart_is_compared_with_its_class() {
    let default = Template::Default.policy().unwrap();
    let apart = extended("[key.\"model/loose\"]\nroll_back = false\nmin_strength = 100");
    let differences = default.diff(&apart);
    let weaker: Vec<_> = differences.iter().map(|d| (d.field, d.weaker)).collect();
    assert_eq!(weaker, [("roll_back", false), ("min_strength", true)]);
}

#[test]
fn regimes_that_do_not_fit_are_reported() {
    let slow = extended("[class.model]\nrenew_at = 80\npropagation_time = \"9d\"");
    let short = extended("[class.model]\noriginator_period = \"20d\"");
    assert_eq!((slow.check(), short.check()), (vec![], vec![]));
    let (merged, conflicts) = slow.merge(&short);
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].to_string(), format!("K6 model: {}", Problem::NoTimeToPropagate));
    assert_eq!(merged.name, "test");
    let apart = |region: &str| extended(&format!("[all]\nregions = [\"{region}\"]"));
    let (_, conflicts) = apart("eu").merge(&apart("us"));
    assert_eq!(conflicts.len(), Class::ALL.len() + 1);
}

#[test]
fn the_hash_covers_values_and_nothing_else() {
    let default = Template::Default.policy().unwrap();
    let renamed = Policy { name: "other".to_owned(), ..default.clone() };
    assert_eq!(renamed.hash(), default.hash());
    let newer = Policy { version: 2, ..default.clone() };
    assert_ne!(newer.hash(), default.hash());
    let mut hashes = BTreeSet::from([default.hash()]);
    for (at, text) in ["keep_versions = 4", "retiring_rounds = 1", "triggers = []", "regions = [\"eu\"]"]
        .into_iter()
        .enumerate()
    {
        hashes.insert(extended(&format!("[class.model]\n{text}")).hash());
        assert_eq!(hashes.len(), at + 2, "{text}");
    }
}

#[test]
fn explaining_shows_every_value_and_its_reason() {
    let policy = Template::Default.policy().unwrap();
    let text = policy.explain();
    for (scope, rule) in policy.rules() {
        assert!(text.contains(&scope.to_string()));
        for (field, value) in rule.texts() {
            assert!(text.contains(&format!("{:<20} {value:<16} {OURS}", field.replace('_', " "))), "{field}");
        }
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let period = prop_oneof![Just(Period::Unlimited), (1_u64..1000).prop_map(|d| Period::For(Span::days(d)))];
    let limit = prop_oneof![Just(Limit::Unlimited), (1_u64..1000).prop_map(Limit::At)];
    let span = (0_u64..100).prop_map(Span::days);
    let region = |text: &str| Region::new(text).unwrap();
    let regions = prop_oneof![
        Just(Regions::Any),
        proptest::collection::btree_set(prop_oneof![Just(region("eu")), Just(region("us"))], 0..3)
            .prop_map(Regions::Only)
    ];
    let triggers = proptest::collection::btree_set(proptest::sample::select(Trigger::ALL.to_vec()), 0..5);
    let sets = (proptest::collection::btree_set(span.clone(), 0..3), triggers, regions);
    let numbers = (0_u8..=100, 0_u8..=50, any::<bool>(), 1_u16..256, 0_u32..10, any::<bool>());
    let spans = (span.clone(), span.clone(), span);
    let periods = (period.clone(), period.clone(), period.clone(), period);
    let limits = (limit.clone(), limit.clone(), limit);
    (periods, limits, spans, sets, numbers).prop_map(|(periods, limits, spans, sets, numbers)| Rule {
        originator_period: periods.0,
        recipient_period: periods.1,
        keep_for: periods.2,
        refresh_period: periods.3,
        max_operations: limits.0,
        max_bytes: limits.1,
        refresh_operations: limits.2,
        offline_cache: spans.0,
        propagation_time: spans.1,
        retiring_time: spans.2,
        alerts: sets.0,
        triggers: sets.1,
        regions: sets.2,
        renew_at: numbers.0,
        propagation_acks: numbers.0,
        jitter: numbers.1,
        at_deadline: if numbers.2 { Deadline::Go } else { Deadline::Wait },
        min_strength: numbers.3,
        keep_versions: numbers.4,
        retiring_rounds: u64::from(numbers.4),
        roll_back: numbers.5,
        canary: BTreeSet::from([numbers.1, 100]),
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    proptest::collection::vec(rules(), Class::ALL.len() + 1).prop_map(|rules| {
        let mut policy = Template::Default.policy().unwrap();
        policy.rules.values_mut().zip(rules).for_each(|(old, new)| *old = new);
        policy
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// I3: the order of merging does not matter, merging twice changes nothing, and nothing gets weaker.
    #[test]
    fn merging_takes_the_strictest(a in policies(), b in policies(), c in policies()) {
        let ab = a.merge(&b).0;
        prop_assert_eq!(&ab, &b.merge(&a).0);
        prop_assert_eq!(&a.merge(&a).0, &a);
        prop_assert_eq!(&ab.merge(&b).0, &ab);
        prop_assert_eq!(ab.merge(&c).0, a.merge(&b.merge(&c).0).0);
        prop_assert_eq!(ab.weaker_than(&a), vec![]);
        prop_assert_eq!(ab.weaker_than(&b), vec![]);
        // Strictest, not stricter than that: each value is one of the two, or joins them.
        for ((scope, rule), (_, in_a)) in ab.rules().zip(a.rules()) {
            for ((field, text), (_, of_a)) in rule.texts().into_iter().zip(in_a.texts()) {
                let of_b = b.effective(scope).texts().into_iter().find(|(name, _)| *name == field).unwrap().1;
                let set = text.starts_with('[');
                prop_assert!(set || text == of_a || text == of_b, "{} {}", scope, field);
            }
        }
    }

    /// H3: a merged policy is a file that reads as the same policy.
    #[test]
    fn what_is_written_reads_as_the_same(a in policies(), b in policies()) {
        let merged = a.merge(&b).0;
        prop_assert_eq!(Policy::parse(&merged.to_toml()).unwrap(), merged);
    }

    /// [KL-5]: of two policies that allow for offline caches, the strictest does too.
    #[test]
    fn merging_keeps_time_for_recipients(a in policies(), b in policies()) {
        let late = |policy: &Policy| {
            policy.check().into_iter().any(|c| c.problem == Problem::RecipientTooShort)
        };
        let in_time = |mut policy: Policy| {
            for rule in policy.rules.values_mut() {
                let least = rule.originator_period.span().map(|span| Period::For(span.plus(rule.offline_cache)));
                rule.recipient_period = rule.recipient_period.max(least.unwrap_or(Period::Unlimited));
            }
            policy
        };
        let (a, b) = (in_time(a), in_time(b));
        prop_assert!(!late(&a) && !late(&b));
        prop_assert!(!late(&a.merge(&b).0));
    }
}
