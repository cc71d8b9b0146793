use super::*;

fn options() -> InitOptions {
    InitOptions {
        name: "hospital".to_owned(),
        listen: "127.0.0.1:4433".parse().unwrap(),
        admin: "127.0.0.1:4434".parse().unwrap(),
        parties: 8,
        first: FirstJob::default(),
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
    let key = fs::read_to_string(folder.join("identity.key")).unwrap();
    let shown = format!("{config:?}{:?}{:?}", load(&folder).1, load(&folder).1.admin);
    assert!(!shown.contains(key.trim()) && key.trim().len() == 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("."), 0o700);
        for name in ["identity.key", "authority.key", "admin.token", "quorate.db"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
        fs::set_permissions(folder.join("identity.key"), PermissionsExt::from_mode(0o644)).unwrap();
        let open = Secrets::load(&config, &Environment::from([]));
        assert!(matches!(open, Err(SecretError::Open { key: "secrets.identity" })));
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

#[test]
fn an_interrupted_init_is_done_again() {
    let at = tempfile::tempdir().unwrap();
    // Before the staging was complete.
    let early = at.path().join("early");
    fs::create_dir_all(early.join(STAGING).join("ledger")).unwrap();
    fs::write(early.join(STAGING).join("identity.key"), b"half").unwrap();
    run(init(&early, &options())).unwrap();
    load(&early);
    // While it was moved: the keys that were made stay the ones.
    let late = at.path().join("late");
    make_folder(&late.join(STAGING)).unwrap();
    run(make(&late.join(STAGING), &options())).unwrap();
    let key = fs::read(late.join(STAGING).join("identity.key")).unwrap();
    fs::rename(late.join(STAGING).join("identity.key"), late.join("identity.key")).unwrap();
    run(init(&late, &options())).unwrap();
    assert_eq!(fs::read(late.join("identity.key")).unwrap(), key);
    load(&late);
    // At work right now.
    let busy = at.path().join("busy");
    let _lock = Folder::create(&busy.join(STAGING)).unwrap();
    assert!(matches!(run(init(&busy, &options())), Err(InitError::InUse)));
}
