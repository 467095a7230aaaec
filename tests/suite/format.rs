//! What is stored is what s3pipe.5 says, byte for byte: keys, manifest,
//! indexes, blocks and the record of an upload, with every hash computed anew.

use std::fs;

use sha2::{Digest, Sha256};

use crate::support::{Scratch, Server, assert_same, random, s3pipe};

const BLOCK: usize = 65536;

/// The SHA-256, as it stands in keys and indexes.
pub fn hex(data: &[u8]) -> String {
    let digest = Sha256::digest(data);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn objects_are_as_documented() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let data = random(1, 6 * BLOCK + 1);
    let run = s3pipe(&server).args(["upload", "--blocksize", "64K", "-s", "a/b ü.1"]);
    let run = run.env("S3PIPE_INDEX_BLOCKS", "3").stdin(data.clone());
    run.run().ok();

    let name = "a_2Fb_20_C3_BC.1";
    let manifest = fs::read_to_string(server.object(&format!("s3pipe/manifest/{name}")));
    let manifest = manifest.expect("a manifest");
    let lines: Vec<&str> = manifest.lines().collect();
    let upload = lines[2].strip_prefix("upload ").expect("an upload");
    let created = lines[3].strip_prefix("created ").expect("a time");
    let (time, bits) = upload.split_once('-').expect("a time and random bits");
    assert_eq!(created.replace(['-', ':'], ""), time);
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    assert!(bits.len() == 16 && bits.bytes().all(hexadecimal), "{bits}");

    let mut keys = vec![format!("s3pipe/manifest/{name}")];
    let mut indexes = vec![String::new(); 3];
    for (n, block) in data.chunks(BLOCK).enumerate() {
        let key = format!("s3pipe/block/{name}/{upload}/{n:010}.{}", hex(block));
        assert_same(&fs::read(server.object(&key)).expect("a block"), block);
        indexes[n / 3] += &format!("{n:010} {} {}\n", block.len(), hex(block));
        keys.push(key);
    }
    let mut expected = format!(
        "s3pipe-manifest 2\nstream {name}\nupload {upload}\ncreated {created}\n\
         blocksize 65536\nhash sha256\nencryption none\n"
    );
    let totals = ["3 196608", "3 196608", "1 1"];
    for (n, index) in indexes.iter().enumerate() {
        let hash = hex(index.as_bytes());
        let key = format!("s3pipe/index/{name}/{upload}/{n:010}.{hash}");
        assert_same(
            &fs::read(server.object(&key)).expect("an index"),
            index.as_bytes(),
        );
        expected += &format!("index {n:010} {} {hash}\n", totals[n]);
        keys.push(key);
    }
    expected += "end 3 7 393217\n";
    assert_eq!(manifest, expected);
    // And nothing else: the record is gone.
    keys.sort();
    assert_eq!(server.objects(), keys);
}

#[test]
fn a_record_stands_while_the_upload_runs() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let run = s3pipe(&server).args(["upload", "--blocksize", "64K", "-s", "x", "-v"]);
    let mut running = run.stdin_open().spawn();
    running.feed(&[0; BLOCK]);
    running.wait_for_stderr("/block/x/");
    let objects = server.objects();
    assert_eq!(objects.len(), 2, "{objects:#?}");
    let upload = objects[1]
        .strip_prefix("s3pipe/upload/x/")
        .expect("a record");
    let record = fs::read_to_string(server.object(&objects[1])).expect("a record");
    let (rest, nonce) = record.split_once("nonce ").expect("a nonce");
    assert_eq!(nonce.trim_end().len(), 32);
    let (head, created) = rest.split_once("created ").expect("a time");
    assert_eq!(
        head,
        format!("s3pipe-upload 2\nstream x\nupload {upload}\n")
    );
    assert_eq!(
        created.split_once('\n').expect("a line").1,
        "blocksize 65536\n"
    );
    running.wait();
    assert!(server.objects().iter().all(|key| !key.contains("/upload/")));
}
