//! Listings: pages, prefixes, names, order.

use s3bl_s3::{Client, ListEntry, ListObjectsV2, ListObjectsV2Output, PutObject};
use s3bl_testkit::Kind;

use crate::{Fixture, hex, md5};

/// In byte order.
const KEYS: [&str; 12] = [
    "a b",
    "a+b",
    "a-1",
    "a.1",
    "a/1",
    "a/2 +",
    "a/d/1",
    "a0",
    "ctrl\u{8}",
    "p%41",
    "q&\"<>'",
    "é",
];

async fn listed(client: &Client, list: ListObjectsV2<'_>) -> ListObjectsV2Output {
    client.list_objects_v2(&list).await.unwrap()
}

async fn filled(kind: Kind) -> Fixture {
    let fixture = Fixture::new(kind, "listing").await;
    for key in KEYS {
        let body = key.as_bytes().to_vec().into();
        fixture.client.put_object(&PutObject::new(&fixture.bucket, key, body)).await.unwrap();
    }
    fixture
}

async fn every_page(client: &Client, list: ListObjectsV2<'_>) -> Vec<ListEntry> {
    let (mut entries, mut token) = (Vec::new(), None::<String>);
    for _ in 0..100 {
        let page = listed(client, ListObjectsV2 { continuation: token.as_deref(), ..list }).await;
        entries.extend(page.entries);
        token = page.next;
        if token.is_none() {
            return entries;
        }
    }
    panic!("a listing of {} keys has more than 100 pages", KEYS.len());
}

fn keys(entries: &[ListEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

fn sorted(entries: &[ListEntry]) -> Vec<&str> {
    let mut keys = keys(entries);
    keys.sort_unstable();
    keys
}

async fn every_name_comes_back_once_with_size_and_etag(kind: Kind, is_in_byte_order: bool) {
    let Fixture { client, bucket } = filled(kind).await;

    let entries = every_page(&client, ListObjectsV2::new(&bucket, "")).await;
    let paged = ListObjectsV2 { max_keys: Some(2), ..ListObjectsV2::new(&bucket, "") };
    let paged = every_page(&client, paged).await;

    assert_eq!(sorted(&entries), KEYS);
    assert_eq!(sorted(&paged), KEYS);
    assert_eq!(keys(&entries) == KEYS, is_in_byte_order, "{:?}", keys(&entries));
    for entry in &entries {
        assert_eq!(entry.size, entry.key.len() as u64, "{}", entry.key);
        assert_eq!(entry.etag, hex(&md5(entry.key.as_bytes())), "{}", entry.key);
        assert!(entry.last_modified.is_some(), "{}", entry.key);
    }
}

async fn prefix_delimiter_and_start_after_select(kind: Kind) {
    let Fixture { client, bucket } = filled(kind).await;

    let within = every_page(&client, ListObjectsV2::new(&bucket, "a/")).await;
    assert_eq!(sorted(&within), ["a/1", "a/2 +", "a/d/1"]);

    let grouped = ListObjectsV2 { delimiter: Some("/"), ..ListObjectsV2::new(&bucket, "a/") };
    let grouped = listed(&client, grouped).await;
    assert_eq!(sorted(&grouped.entries), ["a/1", "a/2 +"]);
    assert_eq!(grouped.common_prefixes, ["a/d/"]);

    let after = ListObjectsV2 { start_after: Some("a/1"), ..ListObjectsV2::new(&bucket, "a/") };
    assert_eq!(sorted(&every_page(&client, after).await), ["a/2 +", "a/d/1"]);

    let none = every_page(&client, ListObjectsV2::new(&bucket, "nothing/")).await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn seaweed_lists_every_name_but_not_in_byte_order() {
    every_name_comes_back_once_with_size_and_etag(Kind::Seaweed, false).await;
}

#[tokio::test]
async fn moto_lists_every_name_in_byte_order() {
    every_name_comes_back_once_with_size_and_etag(Kind::Moto, true).await;
}

#[tokio::test]
async fn juicefs_lists_every_name_in_byte_order() {
    every_name_comes_back_once_with_size_and_etag(Kind::Juicefs, true).await;
}

#[tokio::test]
async fn seaweed_selects() {
    prefix_delimiter_and_start_after_select(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_selects() {
    prefix_delimiter_and_start_after_select(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_selects() {
    prefix_delimiter_and_start_after_select(Kind::Juicefs).await;
}
