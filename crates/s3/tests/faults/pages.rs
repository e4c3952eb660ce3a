//! Listings that lie, and listings with odd keys.

use s3bl_s3::{ErrorKind, ListMultipartUploads, ListObjectsV2, ListObjectsV2Output, ListParts};

use crate::script::{Act, Server};
use crate::{client, reply};

use Act::{Read, Send};

async fn page(body: &str, list: ListObjectsV2<'_>) -> Result<ListObjectsV2Output, s3bl_s3::Error> {
    let server = Server::start(vec![vec![Read, Send(reply("200 OK", "", body))]]).await;
    client(&server).list_objects_v2(&list).await
}

fn result(inner: &str) -> String {
    format!("<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\">{inner}</ListBucketResult>")
}

fn all() -> ListObjectsV2<'static> {
    ListObjectsV2::new("bucket", "")
}

async fn fault(inner: &str, list: ListObjectsV2<'_>) -> ErrorKind {
    page(&result(inner), list).await.unwrap_err().kind
}

#[tokio::test]
async fn a_page_that_lies_about_the_next_one_is_an_error() {
    let truncated = "<IsTruncated>true</IsTruncated>";
    let token = "<NextContinuationToken>t1</NextContinuationToken>";
    assert_eq!(fault(truncated, all()).await, ErrorKind::Malformed);
    let empty = format!("{truncated}<NextContinuationToken></NextContinuationToken>");
    assert_eq!(fault(&empty, all()).await, ErrorKind::Malformed);
    let same = format!("{truncated}{token}");
    let list = ListObjectsV2 { continuation: Some("t1"), ..all() };
    assert_eq!(fault(&same, list).await, ErrorKind::Malformed);
    assert_eq!(page(&result(&same), all()).await.unwrap().next.as_deref(), Some("t1"));
    // A last page may name a token all the same; nothing follows it.
    let last = format!("<IsTruncated>false</IsTruncated>{token}");
    assert_eq!(page(&result(&last), all()).await.unwrap().next, None);
}

#[tokio::test]
async fn odd_keys_come_through_whether_the_store_encodes_them_or_not() {
    let entry = |key: &str| {
        format!("<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents>")
    };
    let raw = ["a&#x8;b", "c+d%41", "&#xFFFF;&amp;lt;", "\u{1}", "<![CDATA[<&>]]>", "  spaced  "];
    let raw: String = raw.iter().map(|key| entry(key)).collect();
    let listed = page(&result(&raw), all()).await.unwrap();
    let keys: Vec<_> = listed.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["a\u{8}b", "c+d%41", "\u{FFFF}&lt;", "\u{1}", "<&>", "  spaced  "]);
    assert_eq!(listed.entries[0].etag, "e");

    let groups = "<CommonPrefixes><Prefix>g%20h/</Prefix></CommonPrefixes>";
    let encoded =
        format!("{}{groups}<EncodingType>url</EncodingType>", entry("a%08b+c%2Bd%E9%AB%98"));
    let listed = page(&result(&encoded), all()).await.unwrap();
    assert_eq!(listed.entries[0].key, "a\u{8}b c+d\u{9ad8}");
    assert_eq!(listed.common_prefixes, ["g h/"]);
}

#[tokio::test]
async fn what_is_no_listing_is_an_error() {
    let malformed = ErrorKind::Malformed;
    assert_eq!(fault("<Contents><Size>many</Size></Contents>", all()).await, malformed);
    assert_eq!(fault("<Contents>", all()).await, malformed);
    let not_utf8 = "<Contents><Key>%FF</Key></Contents><EncodingType>url</EncodingType>";
    assert_eq!(fault(not_utf8, all()).await, malformed);
    assert_eq!(page("<Other/>", all()).await.unwrap_err().kind, malformed);
    assert_eq!(page("", all()).await.unwrap_err().kind, malformed);
}

#[tokio::test]
async fn a_listing_without_end_is_cut_off() {
    let endless = [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        b"1000000\r\n",
        &[b' '; 1 << 24],
        b"\r\n",
    ];
    let more = [&b"1000000\r\n"[..], &[b' '; 1 << 24]].concat();
    let server = Server::start(vec![vec![Read, Send(endless.concat()), Send(more)]]).await;
    let error = client(&server).list_objects_v2(&all()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn lists_of_parts_and_of_uploads_go_on_where_they_ended() {
    let parts = r#"<ListPartsResult>
        <IsTruncated>true</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker>
        <Part><PartNumber>7</PartNumber><Size>5</Size><ETag>"e"</ETag>
        <ChecksumCRC64NVME>AAAAAAAAAAE=</ChecksumCRC64NVME></Part></ListPartsResult>"#;
    let uploads = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>
        <NextKeyMarker>k&#x1;</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>
        <Upload><Key>k&#x1;</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>";
    let replies =
        [parts, parts, uploads, uploads].map(|body| [Read, Send(reply("200 OK", "", body))]);
    let server = Server::start(vec![replies.into_iter().flatten().collect()]).await;
    let client = client(&server);

    let list = ListParts { bucket: "b", key: "k", upload_id: "u", after: None };
    let page = client.list_parts(&list).await.unwrap();
    assert_eq!(
        (page.next, page.parts[0].part_number, page.parts[0].crc64nvme),
        (Some(7), 7, Some(1))
    );
    let again = client.list_parts(&ListParts { after: page.next, ..list }).await;
    assert_eq!(again.unwrap_err().kind, ErrorKind::Malformed);

    let list = ListMultipartUploads { bucket: "b", prefix: "p", after: None };
    let page = client.list_multipart_uploads(&list).await.unwrap();
    let (key, upload) = page.next.unwrap();
    assert_eq!((key.as_str(), upload.as_str()), ("k\u{1}", "u"));
    let again = ListMultipartUploads { after: Some((&key, &upload)), ..list };
    let again = client.list_multipart_uploads(&again).await;
    assert_eq!(again.unwrap_err().kind, ErrorKind::Malformed);
}
