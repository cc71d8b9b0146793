//! Wrong options: refused with advice, exit code 2, nothing left behind.

use super::{listing, run};

/// Options of a synthetic run, and what the refusal says.
const SYNTHETIC: [(&str, &str); 14] = [
    ("--participants 1", "choose 2 to 100,000"),
    ("--participants 100001", "choose 2 to 100,000"),
    ("--participants 8 --per-round 9", "--per-round 9 is not possible: choose 2 to 8"),
    ("--participants 20 --per-round 2", "raise --per-round or lower --corrupt-permille"),
    ("--participants 8 --rounds 0", "choose 1 to 10,000"),
    ("--participants 8 --dim 0", "dimension 0, expected 1 to"),
    ("--participants 8 --bits 1", "choose 2 to 24"),
    ("--participants 8 --bits 25", "choose 2 to 24"),
    ("--participants 8 --dim 9000 --suite direct", "choose R8192 or R4096"),
    ("--participants 8 --committee 1", "choose 2 to 8"),
    (
        "--participants 5000 --committee 16",
        "raise --committee (128 is the largest) or lower --corrupt-permille",
    ),
    ("--participants 8 --corrupt-permille 4000000000", "choose 0 to 1000"),
    ("--participants 8 --threads 0", "choose 1 to 1024"),
    ("--participants 8 --compare plain,plain", "names a mode twice"),
];

const OTHERS: [(&str, &str); 13] = [
    ("sim run --dropout 1.5 --out run", "choose 0 to 0.95"),
    ("sim run --dropout NaN --out run", "choose 0 to 0.95"),
    ("sim run --dim 5 --out run", "--dim belongs to --task synthetic"),
    ("sim run --compare plain --mode masked --out run", "cannot be used with"),
    ("sim run --mode fast --out run", "possible values: plain, masked, homomorphic"),
    ("sim run --mode homomorphic --suite R4096 --out run", "is of suite R8192"),
    ("sim run --task ../../x --out run", "possible values: mnist, logistic, synthetic"),
    ("sim run --seed -1 --out run", "unexpected argument '-1'"),
    ("sim run --out run extra", "unexpected argument 'extra'"),
    ("sim resume nowhere", "holds no run"),
    ("bench --participants 1", "choose 2 to 10000"),
    ("bench --runs 0", "choose 1 or more"),
    ("bench --suite direct --dim 9000", "choose R8192 or R4096"),
];

#[test]
fn wrong_options_are_refused_with_advice_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let synthetic = |options: &str| match options.contains("--dim") {
        true => format!("sim run --task synthetic {options} --out run"),
        false => format!("sim run --task synthetic --dim 50 {options} --out run"),
    };
    let cases = SYNTHETIC.map(|(options, advice)| (synthetic(options), advice));
    let others = OTHERS.map(|(words, advice)| (words.to_owned(), advice));
    for (words, advice) in cases.into_iter().chain(others) {
        let said = run(folder.path(), &words);
        assert_eq!(said.code, Some(2), "{words}: {}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(advice), "{words}: {}", said.err);
        assert!(said.out.is_empty(), "{words}: {}", said.out);
        assert!(listing(folder.path()).is_empty(), "{words}: {:?}", listing(folder.path()));
    }
}

/// One impossible mode of a comparison stops all of it before the first begins.
#[test]
fn a_comparison_is_checked_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let words = "sim run --task synthetic --participants 20 --per-round 2 --dim 10 --compare plain,masked";
    let said = run(folder.path(), words);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("raise --per-round"), "{}", said.err);
    assert!(listing(folder.path()).is_empty());
}
