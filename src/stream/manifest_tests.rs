//! What manifests, indexes and records must accept and refuse.

use super::*;
use crate::testing::Random;

fn manifest() -> Manifest {
    let index = |blocks, bytes| IndexRef {
        blocks,
        bytes,
        sha256: [blocks as u8; 32],
    };
    Manifest {
        name: Name::new("bacula-/export").unwrap(),
        upload: UploadId::new(Utc(1_000_000_000), [7; 8]),
        created: Utc(1_000_000_000),
        blocksize: 65536,
        encryption: Encryption::None,
        indexes: vec![index(10_000, 655_360_000), index(3, 131_073)],
        seals: Vec::new(),
    }
}

fn blocks(first: u64, lengths: &[u64]) -> (Vec<BlockRef>, String) {
    let block = |(i, &length): (usize, &u64)| BlockRef {
        number: first + i as u64,
        length,
        sha256: [i as u8; 32],
    };
    let list: Vec<BlockRef> = lengths.iter().enumerate().map(block).collect();
    let text = list.iter().map(index_line).collect();
    (list, text)
}

#[test]
fn manifest_is_as_documented() {
    let text = "s3pipe-manifest 2\nstream bacula-_2Fexport\nupload 20010909T014640Z-0707070707070707\n\
        created 2001-09-09T01:46:40Z\nblocksize 65536\nhash sha256\nencryption none\n\
        index 0000000000 10000 655360000 1010101010101010101010101010101010101010101010101010101010101010\n\
        index 0000000001 3 131073 0303030303030303030303030303030303030303030303030303030303030303\n\
        end 2 10003 655491073\n";
    assert_eq!(manifest().to_text(), text);
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
}

#[test]
fn seals_stand_behind_the_end() {
    let hmac = Seal::Hmac {
        key: [0xab; 8],
        mac: [0xcd; 32],
    };
    let sealed = Manifest {
        encryption: Encryption::Age,
        seals: vec![hmac.clone()],
        ..manifest()
    };
    let text = sealed.to_text();
    let seal = format!("seal hmac-sha256 abababababababab {}\n", "cd".repeat(32));
    assert!(text.contains("\nencryption age\nindex ") && text.ends_with(&seal));
    assert_eq!(text, sealed.body() + &seal);
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), sealed);
    for wrong in [
        text.clone() + &seal,
        sealed.body().replace("end ", &(seal.clone() + "end ")),
        text.replace("seal hmac-sha256", "seal hmac-md5"),
        text.replace("cdcd", "CDCD"),
        text.clone() + "\n",
        text.trim_end().to_string(),
    ] {
        assert!(Manifest::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn empty_stream_has_a_manifest() {
    let empty = Manifest {
        indexes: vec![],
        ..manifest()
    };
    assert!(empty.to_text().ends_with("encryption none\nend 0 0 0\n"));
    assert_eq!(Manifest::parse(empty.to_text().as_bytes()).unwrap(), empty);
}

#[test]
fn every_cut_of_a_manifest_is_refused() {
    let text = manifest().to_text();
    for end in 0..text.len() {
        assert!(Manifest::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn every_change_of_structure_is_refused() {
    let text = manifest().to_text();
    let lines: Vec<&str> = text.lines().collect();
    for i in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(i);
        assert!(Manifest::parse((without.join("\n") + "\n").as_bytes()).is_err());
        let mut twice = lines.clone();
        twice.insert(i, lines[i]);
        assert!(Manifest::parse((twice.join("\n") + "\n").as_bytes()).is_err());
        let mut foreign = lines.clone();
        foreign.insert(i, "colour blue");
        assert!(Manifest::parse((foreign.join("\n") + "\n").as_bytes()).is_err());
    }
    for (from, to) in [
        ("manifest 2", "manifest 3"),
        ("blocksize 65536", "blocksize 065536"),
        ("blocksize 65536", "blocksize 65535"),
        ("none", "rot13"),
        ("sha256", "md5"),
        (" 3 131073", " 3 131074"),
        (" 3 131073", " 3 99999999999999999999"),
        ("end 2", "end 1"),
        ("\n", "\r\n"),
        ("03030303", "0303030G"),
    ] {
        assert!(text.contains(from));
        let changed = text.replacen(from, to, 1);
        assert!(Manifest::parse(changed.as_bytes()).is_err(), "{to}");
    }
    assert!(Manifest::parse((text + "more\n").as_bytes()).is_err());
}

#[test]
fn indexes_are_checked_against_the_manifest() {
    let (list, text) = blocks(5, &[65536, 65536, 1]);
    let expected = IndexRef {
        blocks: 3,
        bytes: 131_073,
        sha256: [0; 32],
    };
    let parse = |text: &str, last| parse_index(text.as_bytes(), &expected, 5, 65536, last);
    assert_eq!(parse(&text, true).unwrap(), list);
    assert!(parse(&text, false).is_err(), "a short block in the middle");
    assert!(parse_index(text.as_bytes(), &expected, 4, 65536, true).is_err());
    for end in 0..text.len() {
        assert!(parse(&text[..end], true).is_err(), "cut at {end}");
    }
    let lines: Vec<&str> = text.lines().collect();
    for order in [[0, 2, 1], [0, 0, 1], [1, 0, 2]] {
        let mixed: String = order.iter().map(|&i| format!("{}\n", lines[i])).collect();
        assert!(parse(&mixed, true).is_err());
    }
    assert!(parse(&text.replace(" 1 ", " 01 "), true).is_err());
    assert!(parse(&text.replace(" 1 ", " 0 "), true).is_err());
}

#[test]
fn records_survive() {
    let record = Record {
        name: Name::new("ü").unwrap(),
        upload: UploadId::new(Utc(1), [1; 8]),
        created: Utc(1),
        blocksize: 1 << 30,
        nonce: [9; 16],
    };
    let text = record.to_text();
    assert_eq!(Record::parse(text.as_bytes()).unwrap(), record);
    for end in 0..text.len() {
        assert!(Record::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
}

/// Mutated texts must be refused or mean exactly what they say; the parsers
/// must neither panic nor accept two spellings of one thing.
#[test]
fn mutations_never_panic_and_never_mean_two_things() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (_, index) = blocks(0, &[65536, 65536, 9]);
    let seeds = [manifest().to_text(), index];
    for round in 0..20_000 {
        let text = random.input(&seeds[round % 2], b"0 \n9aZ\xff-");
        if let Ok(read) = Manifest::parse(&text) {
            assert_eq!(read.to_text().as_bytes(), text);
        }
        let expected = IndexRef {
            blocks: 3,
            bytes: 131_081,
            sha256: [0; 32],
        };
        if let Ok(read) = parse_index(&text, &expected, 0, 65536, true) {
            let written: String = read.iter().map(index_line).collect();
            assert_eq!(written.as_bytes(), text);
        }
    }
}
