use super::*;

fn options() -> InitOptions {
    InitOptions {
        name: "hospital".to_owned(),
        listen: "127.0.0.1:4433".parse().unwrap(),
        admin: "127.0.0.1:4434".parse().unwrap(),
        parties: 8,
        first: FirstJob::default(),
        unlock: None,
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn load(folder: &Path) -> (Config, Secrets) {
    let environment = Environment::from([]);
    let config = Config::load(&folder.join(CONFIG), &environment).unwrap();
    let secrets = Secrets::load(&config, &environment).unwrap();
    (config, secrets)
}

#[test]
fn a_new_coordinator_loads_and_is_private() {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("new");
    let made = run(init(&folder, &options())).unwrap();
    let (config, secrets) = load(&folder);
    assert_eq!((secrets.authority.pin(), config.deployment.as_str()), (made.pin, "hospital"));
    assert!(secrets.admin.is_some() && !folder.join(STAGING).exists());
    drop(Service::open(secrets.identity, &config.ledger()).unwrap());
    let unlock = fs::read_to_string(at.path().join("new.unlock")).unwrap();
    let shown = format!("{config:?}{:?}{:?}{made:?}", load(&folder).1, load(&folder).1.admin);
    assert!(!shown.contains(unlock.trim()) && unlock.trim().len() == 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("."), 0o700);
        for name in ["../new.unlock", "keys/wrapping.keys", "admin.token", "quorate.db"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
        fs::set_permissions(at.path().join("new.unlock"), PermissionsExt::from_mode(0o644)).unwrap();
        let open = Secrets::load(&config, &Environment::from([]));
        assert!(matches!(open, Err(SecretError::Strongroom(StrongroomError::NoUnlock(_)))));
    }
}

#[test]
fn nothing_is_overwritten() {
    let at = tempfile::tempdir().unwrap();
    fs::write(at.path().join("notes.txt"), b"mine").unwrap();
    assert!(matches!(run(init(at.path(), &options())), Err(InitError::NotEmpty)));
    let folder = at.path().join("new");
    let made = run(init(&folder, &options())).unwrap();
    assert!(matches!(run(init(&folder, &options())), Err(InitError::Exists)));
    assert_eq!(load(&folder).1.authority.pin(), made.pin);
    let bad = InitOptions { name: "two words".to_owned(), ..options() };
    assert!(matches!(run(init(&at.path().join("bad"), &bad)), Err(InitError::Name)));
}

/// A copy of the folder, without what is beside it: none of its secrets occurs, in any spelling.
#[test]
fn the_folder_alone_holds_no_secret() {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("new");
    run(init(&folder, &options())).unwrap();
    let (config, secrets) = load(&folder);
    let room = config.keys.as_ref().unwrap();
    let known = [
        secrets.identity.to_bytes().to_vec(),
        secrets.authority.key().to_vec(),
        fs::read_to_string(at.path().join("new.unlock")).unwrap().trim().as_bytes().to_vec(),
    ];
    crate::strongroom::tests::assert_absent(&folder, &known);
    fs::remove_file(at.path().join("new.unlock")).unwrap();
    let open = Secrets::load(&config, &Environment::from([])).unwrap_err();
    assert!(matches!(open, SecretError::Strongroom(StrongroomError::NoUnlock(_))), "{open}");
    let guess = Unlock::new("guess").unwrap();
    let open = Strongroom::open(room, &config.deployment, &guess).err();
    assert!(matches!(open, Some(StrongroomError::WrongUnlock)));
}

#[test]
fn the_unlock_secret_is_where_the_operator_says_and_never_within() {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("new");
    let within = InitOptions { unlock: Some(Place::File(folder.join("secret"))), ..options() };
    assert!(matches!(run(init(&folder, &within)), Err(InitError::UnlockWithin)));
    let missing = InitOptions { unlock: Some(Place::Variable("QUORATE_NOT_SET".to_owned())), ..options() };
    assert!(matches!(run(init(&folder, &missing)), Err(InitError::Strongroom(StrongroomError::NoUnlock(_)))));
    let chosen = at.path().join("elsewhere/\"quoted\".unlock");
    let there = InitOptions { unlock: Some(Place::File(chosen.clone())), ..options() };
    let made = run(init(&folder, &there)).unwrap();
    assert!(made.made_unlock && chosen.exists());
    load(&folder);
    // A second deployment may use what is there.
    let made = run(init(&at.path().join("second"), &there)).unwrap();
    assert!(!made.made_unlock);
}

#[test]
fn an_interrupted_init_is_done_again() {
    let at = tempfile::tempdir().unwrap();
    // Before the staging was complete.
    let early = at.path().join("early");
    fs::create_dir_all(early.join(STAGING).join("ledger")).unwrap();
    fs::create_dir_all(early.join(STAGING).join("keys")).unwrap();
    fs::write(early.join(STAGING).join("keys/wrapping.keys"), b"half").unwrap();
    run(init(&early, &options())).unwrap();
    load(&early);
    // While it was moved: the keys that were made stay the ones.
    let late = at.path().join("late");
    make_folder(&late.join(STAGING)).unwrap();
    let beside = Place::File(at.path().join("late.unlock"));
    let (unlock, _) = Unlock::read_or_make(&beside, &Environment::from([])).unwrap();
    let there = InitOptions { unlock: Some(beside), ..options() };
    run(make(&late.join(STAGING), &there, &unlock)).unwrap();
    let key = fs::read(late.join(STAGING).join("keys/wrapping.keys")).unwrap();
    fs::rename(late.join(STAGING).join("keys"), late.join("keys")).unwrap();
    run(init(&late, &options())).unwrap();
    assert_eq!(fs::read(late.join("keys/wrapping.keys")).unwrap(), key);
    load(&late);
    // At work right now.
    let busy = at.path().join("busy");
    let _lock = Folder::create(&busy.join(STAGING)).unwrap();
    assert!(matches!(run(init(&busy, &options())), Err(InitError::InUse)));
}
