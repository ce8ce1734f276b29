//! What can be wrong with a session, and that each says what it is.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use lnc::client::{ConnectError, Credentials, Ended, LinkError, Patience, Roots, Server, connect};
use lnc::mailbox::MailboxError;
use lnc::{PairingPhrase, SecretKey};

use super::support::{
    add_invoice, by_phrase, connected, lightning, paired, server, session, sim, try_connect, until,
};

fn hasty() -> Patience {
    let short = Duration::from_millis(500);
    Patience { unknown: short, occupied: short, unreachable: short, silent: short }
}

async fn refused(server: &Server, credentials: &Credentials) -> ConnectError {
    connect(server, credentials, &hasty(), &mut |_| Ok(())).await.err().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_phrase_is_a_session_that_nobody_knows() {
    let sim = sim();
    let phrase = PairingPhrase::from_entropy([1; 14]);
    let stranger = Credentials::Phrase { phrase, local: SecretKey::generate().unwrap() };
    for scheme in ["wss://", "grpcs://"] {
        let error = refused(&server(&sim, scheme), &stranger).await;
        assert!(
            matches!(error, ConnectError::Link(LinkError::Mailbox(MailboxError::NotFound))),
            "{scheme} {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_revoked_ends_and_is_unknown() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let first = connected(&server, &phrase).await;
    let mut client = lightning(first.stream, &first.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    session.revoke();
    until("the session ends", || first.session.ended().is_some()).await;
    assert_eq!(first.session.ended(), Some(&Ended::There));
    assert!(add_invoice(&mut client).await.is_err());
    let error = refused(&server, &paired(&phrase, first.remote)).await;
    assert!(matches!(error, ConnectError::Link(LinkError::Mailbox(MailboxError::NotFound))), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_another_client_has_is_occupied_until_it_leaves() {
    let sim = sim();
    let (session, first_server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let holder = connected(&first_server, &phrase).await;
    let keys = paired(&phrase, holder.remote);
    for scheme in ["wss://", "grpcs://"] {
        let error = refused(&server(&sim, scheme), &keys).await;
        let occupied = matches!(error, ConnectError::Link(LinkError::Mailbox(MailboxError::Occupied)));
        assert!(occupied, "{scheme} {error}");
    }
    let (other_server, waiting) = (server(&sim, ""), keys.clone());
    let next = tokio::spawn(async move { try_connect(&other_server, &waiting).await });
    let mut client = lightning(holder.stream, &holder.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    holder.session.close().await;
    let next = next.await.unwrap().unwrap();
    let mut client = lightning(next.stream, &next.auth_data).await;
    add_invoice(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_name_of_a_session_gets_nowhere() {
    // Knows the name, as the mailbox does, but has another key: what is refused is refused by the node.
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let first = connected(&server, &phrase).await;
    first.session.close().await;
    // The phrase alone is no way in any more.
    let error = refused(&server, &by_phrase(&session)).await;
    assert!(matches!(error, ConnectError::Link(LinkError::Mailbox(MailboxError::NotFound))), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_not_there_or_not_trusted() {
    let sim = sim();
    let session = session(&sim);
    let phrase = by_phrase(&session);
    let other = rcgen_certificate();
    let stranger = Server::new(&sim.mailbox_address(), &Roots::Pem(other)).unwrap();
    let error = refused(&stranger, &phrase).await;
    assert!(matches!(error, ConnectError::Link(LinkError::Certificate(_))), "{error}");

    sim.open_mailbox(false);
    let error = refused(&server(&sim, ""), &phrase).await;
    assert!(matches!(error, ConnectError::Link(LinkError::Unreachable(_))), "{error}");
    sim.open_mailbox(true);
    connected(&server(&sim, ""), &phrase).await;
}

/// The certificate of another simulated node.
fn rcgen_certificate() -> Vec<u8> {
    std::fs::read(sim().tls_cert_path()).unwrap()
}
