use super::*;

/// [WIT-4]: evidence that is there stays as it is.
#[test]
fn wit_4_evidence_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::create(folder.path()).unwrap();
    assert_eq!(vault.evidence().unwrap(), None);
    let file = vault.keep_evidence(b"first").unwrap();
    assert_eq!(vault.keep_evidence(b"second").unwrap(), file);
    assert_eq!(std::fs::read(&file).unwrap(), b"first");
    assert_eq!(vault.evidence().unwrap(), Some(file));
}
