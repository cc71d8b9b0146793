use std::path::Path;

use super::*;

fn digest(seed: u8) -> Digest {
    Digest::from_bytes([seed; 32])
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test)
}

async fn open(at: &Path) -> SqliteStore {
    SqliteStore::open(&at.join("quorate.db")).await.unwrap()
}

fn token(seed: u8, expires: u64) -> NewToken {
    NewToken { hash: digest(seed), site: "site".to_owned(), created: 1, expires }
}

// [REG-2]: two connections, as two processes have them, ask for one token at one moment, many times.
#[test]
fn reg_2_one_token_goes_to_one_key() {
    let at = tempfile::tempdir().unwrap();
    run(async {
        let (one, two) = (open(at.path()).await, open(at.path()).await);
        for seed in 0..40 {
            one.token_create(&token(seed, 100)).await.unwrap();
            let ask = |store: SqliteStore, key: u8| {
                tokio::spawn(async move { store.token_reserve(digest(seed), digest(key), 50).await.unwrap() })
            };
            let asked = [(&one, 201), (&two, 202), (&one, 203), (&two, 204)];
            let answers = asked.map(|(store, key)| (key, ask(store.clone(), key)));
            let mut winner = None;
            for (key, answer) in answers {
                match answer.await.unwrap() {
                    Reservation::New => assert_eq!(winner.replace(key), None, "two keys have it"),
                    other => assert_eq!(other, Reservation::Refused(TokenRefusal::Used)),
                }
            }
            let winner = digest(winner.unwrap());
            assert_eq!(two.token_reserve(digest(seed), winner, 50).await.unwrap(), Reservation::Again(None));
        }
    });
}

#[test]
fn reg_2_a_lost_answer_is_given_again_and_only_to_that_key() {
    let at = tempfile::tempdir().unwrap();
    run(async {
        let store = open(at.path()).await;
        store.token_create(&token(1, 100)).await.unwrap();
        assert!(matches!(store.token_create(&token(1, 900)).await, Err(StoreError::Conflict)));
        assert!(matches!(store.token_used(digest(1), 0, 10).await, Err(StoreError::Conflict)));
        assert_eq!(store.token_reserve(digest(1), digest(7), 99).await.unwrap(), Reservation::New);
        // The process ends here and comes back when the token has expired.
        store.close().await;
        let store = open(at.path()).await;
        assert_eq!(store.token_reserve(digest(1), digest(7), 500).await.unwrap(), Reservation::Again(None));
        store.token_used(digest(1), 3, 501).await.unwrap();
        store.token_used(digest(1), 3, 502).await.unwrap();
        assert!(matches!(store.token_used(digest(1), 4, 503).await, Err(StoreError::Conflict)));
        let again = Reservation::Again(Some(3));
        assert_eq!(store.token_reserve(digest(1), digest(7), 504).await.unwrap(), again);
        assert_eq!(store.token_revoke(digest(1), 505).await.unwrap(), Change::Enrolled(3));
        let used = Reservation::Refused(TokenRefusal::Used);
        assert_eq!(store.token_reserve(digest(1), digest(8), 506).await.unwrap(), used);
        let row = store.token_of(digest(7)).await.unwrap().unwrap();
        assert_eq!((row.party, row.used), (Some(3), Some(501)));
        assert_eq!(store.token_of(digest(8)).await.unwrap(), None);
    });
}

#[test]
fn tokens_expire_and_are_revoked() {
    let at = tempfile::tempdir().unwrap();
    run(async {
        let store = open(at.path()).await;
        let ask = async |token, now| store.token_reserve(digest(token), digest(9), now).await.unwrap();
        assert_eq!(ask(1, 0).await, Reservation::Refused(TokenRefusal::Unknown));
        store.token_create(&token(1, 100)).await.unwrap();
        assert_eq!(ask(1, 100).await, Reservation::Refused(TokenRefusal::Expired));
        assert_eq!(ask(1, 99).await, Reservation::New);
        // Reserved, nobody enrolled yet: the operator still has the last word.
        assert_eq!(store.token_revoke(digest(1), 99).await.unwrap(), Change::Done);
        assert_eq!(store.token_revoke(digest(1), 99).await.unwrap(), Change::Already);
        assert_eq!(store.token_revoke(digest(2), 99).await.unwrap(), Change::Unknown);
        assert_eq!(ask(1, 99).await, Reservation::Refused(TokenRefusal::Revoked));
        assert_eq!(store.tokens().await.unwrap().len(), 1);
        let json = serde_json::to_value(&store.tokens().await.unwrap()[0]).unwrap();
        assert_eq!(json["hash"], digest(1).to_hex());
    });
}

#[test]
fn parties_are_entered_once_and_evicted_for_good() {
    let at = tempfile::tempdir().unwrap();
    run(async {
        let store = open(at.path()).await;
        let node =
            |index, key| NewNode { index, key_hash: digest(key), site: "north".to_owned(), enrolled: 5 };
        for index in 0..3 {
            store.node_enrolled(&node(index, index as u8)).await.unwrap();
        }
        store.node_enrolled(&node(1, 1)).await.unwrap();
        assert!(matches!(store.node_enrolled(&node(1, 9)).await, Err(StoreError::Conflict)));
        assert!(matches!(store.node_enrolled(&node(9, 1)).await, Err(StoreError::Conflict)));
        assert_eq!(store.node_evict(1, 8, "lost laptop").await.unwrap(), Change::Done);
        assert_eq!(store.node_evict(1, 9, "again").await.unwrap(), Change::Already);
        assert_eq!(store.node_evict(7, 9, "who").await.unwrap(), Change::Unknown);
        assert_eq!(store.evicted().await.unwrap(), BTreeSet::from([1]));
        let row = store.node(1).await.unwrap().unwrap();
        assert_eq!((row.evicted, row.reason.as_deref()), (Some(8), Some("lost laptop")));
        assert_eq!(store.nodes().await.unwrap().len(), 3);

        assert_eq!(store.allow_add(digest(4), 1).await.unwrap(), Change::Done);
        assert_eq!(store.allow_add(digest(4), 1).await.unwrap(), Change::Already);
        assert!(store.allowed(digest(4)).await.unwrap() && !store.allowed(digest(5)).await.unwrap());
        assert_eq!(store.allow_list().await.unwrap(), [digest(4)]);
        assert_eq!(store.allow_remove(digest(4)).await.unwrap(), Change::Done);
        assert_eq!(store.allow_remove(digest(4)).await.unwrap(), Change::Unknown);
    });
}

#[test]
fn rounds_and_models_are_told_in_order() {
    let at = tempfile::tempdir().unwrap();
    run(async {
        let store = open(at.path()).await;
        for number in 1..=5_u64 {
            let job = if number % 2 == 0 { "even" } else { "odd" }.to_owned();
            let begun = RoundBegun { number, job, mode: "masked", started: number * 10, invited: 9 };
            store.round_begun(&begun).await.unwrap();
            assert!(matches!(store.round_begun(&begun).await, Err(StoreError::Conflict)));
        }
        let ended = RoundEnded {
            number: 3,
            ended: 35,
            outcome: Outcome::Opened,
            reason: None,
            accepted: 8,
            included: 7,
            root: Some(digest(3)),
            version: Some(1),
        };
        store.round_ended(&ended).await.unwrap();
        assert!(matches!(store.round_ended(&ended).await, Err(StoreError::Conflict)));
        for number in [1, 2, 4, 5] {
            let aborted = RoundEnded {
                number,
                outcome: Outcome::Aborted,
                included: 0,
                root: None,
                version: None,
                ..ended.clone()
            };
            store.round_ended(&aborted).await.unwrap();
        }
        assert_eq!(store.round_counts("odd").await.unwrap(), (1, 2));
        assert_eq!(store.round_counts("none").await.unwrap(), (0, 0));
        let numbers = |rows: Vec<RoundRow>| rows.iter().map(|row| row.number).collect::<Vec<_>>();
        assert_eq!(numbers(store.rounds(None, None, 2).await.unwrap()), [5, 4]);
        assert_eq!(numbers(store.rounds(Some("odd"), Some(5), 9).await.unwrap()), [3, 1]);
        let row = store.round(3).await.unwrap().unwrap();
        assert_eq!((row.outcome, row.included, row.root), (Some(Outcome::Opened), 7, Some(digest(3))));
        assert_eq!(store.round(u64::MAX).await.unwrap(), None);
        assert_eq!(store.rounds_trim(2).await.unwrap(), 3);

        let model = |version, hash| ModelRow {
            job: "odd".to_owned(),
            version,
            hash: digest(hash),
            round: 3,
            created: 36,
            bytes: 400,
            removed: None,
        };
        store.model_added(&model(0, 1)).await.unwrap();
        store.model_added(&model(1, 2)).await.unwrap();
        store.model_added(&model(1, 2)).await.unwrap();
        assert!(matches!(store.model_added(&model(1, 3)).await, Err(StoreError::Conflict)));
        store.model_removed("odd", 0, 50).await.unwrap();
        let rows = store.models("odd").await.unwrap();
        assert_eq!((rows[0].version, rows[1].removed), (1, Some(50)));
    });
}

#[test]
fn a_newer_database_is_refused_and_the_file_is_private() {
    let at = tempfile::tempdir().unwrap();
    run(async {
        let store = open(at.path()).await;
        sqlx_core::raw_sql::raw_sql("PRAGMA user_version = 3").execute(&store.pool).await.unwrap();
        store.close().await;
        let newer = SqliteStore::open(&at.path().join("quorate.db")).await;
        assert!(matches!(newer, Err(StoreError::Newer { found: 3, known: 2 })));
    });
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(at.path().join("quorate.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
