//! `paxosctl verify`: what it says of whole, torn, damaged, foreign, newer and missing data, and
//! that it never changes a bit of it.

use crate::dev::Dev;
use crate::rig::ctl::{Ran, paxosctl};
use crate::rig::node::files;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::TempDir;

/// Every file below a directory: its bytes, and when they were last changed.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path.clone(), (changed, fs::read(&path).unwrap()));
        }
    }
    found
}

/// A stopped node's directory with some entries in it.
fn data() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    dev.ctl(&["create", "diary"]);
    for day in 0..10 {
        dev.ctl(&["append", "diary", &format!("day {day}: nothing happened")]);
    }
    assert_eq!(dev.stop(), Some(0));
    (folder, data)
}

/// Runs `verify`, and sees to it that it wrote nothing.
#[track_caller]
fn verify(data: &Path, arguments: &[&str]) -> Ran {
    let before = snapshot(data);
    let ran = paxosctl([&["verify", data.to_str().unwrap()], arguments].concat());
    assert!(snapshot(data) == before, "verify changed {}", data.display());
    ran
}

fn json(ran: Ran) -> serde_json::Value {
    serde_json::from_str(&ran.out).unwrap()
}

fn segment(data: &Path) -> PathBuf {
    files(&data.join("shard-000"), "segment-")[0].clone()
}

/// Turns bits of a file.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x55;
    fs::write(file, bytes).unwrap();
}

/// Where a text stands in a file.
#[track_caller]
fn find(file: &Path, text: &[u8]) -> usize {
    let bytes = fs::read(file).unwrap();
    bytes.windows(text.len()).position(|window| window == text).unwrap()
}

/// Sound data is clean in every form, as a whole and shard by shard; what it says is what is there.
#[test]
fn sound_data_is_clean() {
    let (_folder, data) = data();
    verify(&data, &[]).expect(0).says("clean").says("node 1 of cluster");
    let whole = json(verify(&data, &["-o", "json"]).expect(0));
    assert_eq!((whole["state"].as_str(), whole["node"].as_u64()), (Some("clean"), Some(1)));
    let shard = &whole["checked"][0];
    // The log's creation and ten appends, and what the leader itself has chosen.
    assert!(shard["chosen_upto"].as_u64().unwrap() >= 11, "{shard}");
    assert!(shard["records"].as_u64().unwrap() >= 11, "{shard}");
    assert!(shard["batches"].as_u64().unwrap() > 0 && shard["findings"] == serde_json::json!([]));
    let bytes: u64 = snapshot(&data.join("shard-000")).values().map(|(_, b)| b.len() as u64).sum();
    assert_eq!(shard["file_bytes"].as_u64(), Some(bytes));
    let line = verify(&data, &["-o", "jsonl"]).expect(0);
    assert_eq!(line.out.lines().count(), 1);
    assert_eq!(&json(line), shard);
    assert_eq!(verify(&data, &["-o", "raw"]).expect(0).out, "0 clean\n");
    assert_eq!(
        &json(verify(&data.join("shard-000"), &["-o", "json"]).expect(0))["checked"][0],
        shard
    );
}

/// While a node runs on it, a directory is not judged; and a copy without a lock file is.
#[test]
fn a_directory_in_use_is_refused() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    let text = data.to_str().unwrap();
    paxosctl(["verify", text]).expect(6).says("in use by a running node").says("stop it first");
    assert_eq!(dev.stop(), Some(0));
    fs::remove_file(data.join("lock")).unwrap();
    verify(&data, &[]).expect(0);
}

/// R04, R05: rot in a value is damage, with file, offset, record and slot; in one of two copies it
/// is a note; a batch that shows where it was never written is torn, which is a note as well.
#[test]
fn r04_damaged_torn_and_one_copy_are_distinguished() {
    let (_folder, data) = data();
    let file = segment(&data);
    let name = file.file_name().unwrap().to_str().unwrap().to_string();

    let value = find(&file, b"day 3: nothing");
    flip(&file, value);
    verify(&data, &[]).expect(11).says(&name).says("damaged").says("keep the directory");
    let found = json(verify(&data, &["-o", "json"]).expect(11));
    let finding = &found["checked"][0]["findings"][0];
    assert_eq!((&finding["kind"], &finding["file"]), (&"damaged".into(), &name.as_str().into()));
    let (offset, slot) = (finding["offset"].as_u64().unwrap(), finding["slot"].as_u64().unwrap());
    assert!(offset < value as u64 && offset + 512 > value as u64, "{finding}");
    assert!(slot > 3 && finding["first_lsn"] == finding["last_lsn"], "{finding}");
    assert_eq!(found["checked"][0]["hole_slots"], serde_json::json!([slot]));
    flip(&file, value);

    flip(&data.join("shard-000/hard-state"), 24);
    verify(&data, &[]).expect(0).says("one copy lost").says("hard-state at offset 0");
    flip(&data.join("shard-000/hard-state"), 24);

    // Of the last batch one header was never written, and the other is rot: nothing lies behind it.
    let bytes = fs::read(&file).unwrap();
    let empty = |block: &[u8]| block.iter().all(|byte| *byte == 0);
    let blocks: Vec<bool> = bytes.chunks(4096).map(empty).collect();
    let end = blocks.iter().position(|empty| *empty).unwrap();
    let descriptors = blocks.iter().skip(end).position(|empty| !empty).unwrap() + end;
    let mut torn = bytes.clone();
    torn[(end - 1) * 4096..][..512].fill(0);
    torn[(descriptors + 1) * 4096 - 100] ^= 0x55;
    fs::write(&file, torn).unwrap();
    verify(&data, &[]).expect(0).says("torn").says("are cut off");
    fs::write(&file, bytes).unwrap();
    verify(&data, &[]).expect(0).says("clean");
}

/// R08: what is missing, short or lost is damage with the file's name; a newer or foreign file is
/// neither damage nor judged; all shards are looked at all the same.
#[test]
fn r08_missing_short_foreign_and_newer_files_are_distinguished() {
    let (_folder, data) = data();
    let (file, hard) = (segment(&data), data.join("shard-000/hard-state"));
    let (whole, state) = (fs::read(&file).unwrap(), fs::read(&hard).unwrap());

    fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
    verify(&data, &[]).expect(11).says("segment-").says("it must have");
    fs::remove_file(&file).unwrap();
    verify(&data, &[]).expect(11).says("segment-").says("is missing");
    fs::write(&file, &whole).unwrap();
    fs::write(&hard, vec![0; state.len()]).unwrap();
    verify(&data, &[]).expect(11).says("neither copy of the hard state verifies");
    fs::write(&hard, &state).unwrap();

    let (_other_folder, other) = self::data();
    let theirs = fs::read(other.join("shard-000/hard-state")).unwrap();
    fs::write(&hard, theirs).unwrap();
    verify(&data, &[]).expect(1).says("belongs to").says("copied from elsewhere");
    fs::write(&hard, &state).unwrap();

    let identity = fs::read_to_string(data.join("identity")).unwrap();
    fs::write(data.join("identity"), identity.replace("version = 1", "version = 2")).unwrap();
    verify(&data, &[]).expect(1).says("format version 2").says("run the newer program");
    fs::write(data.join("identity"), identity.replace("node = 1", "node = 2")).unwrap();
    verify(&data, &[]).expect(11).says("identity is damaged");
    fs::write(data.join("identity"), &identity).unwrap();

    fs::rename(data.join("shard-000"), data.join("aside")).unwrap();
    verify(&data, &[]).expect(11).says("shard-000 is missing");
    fs::rename(data.join("aside"), data.join("shard-000")).unwrap();
    verify(&data, &[]).expect(0);
}

/// What is no data directory is not found or wrong usage, and the text says what to name instead.
#[test]
fn what_is_no_data_directory_is_said_to_be_none() {
    let folder = TempDir::new().unwrap();
    let gone = folder.path().join("gone");
    paxosctl(["verify", gone.to_str().unwrap()]).expect(3).says("does not exist").says("data_dir");
    assert!(!gone.exists());
    verify(folder.path(), &[]).expect(3).says("holds no paxosd data");
    // Its name is not that of a shard's directory.
    fs::create_dir(folder.path().join("shard-base")).unwrap();
    verify(folder.path(), &[]).expect(3).says("holds no paxosd data");
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    paxosctl(["verify", file.to_str().unwrap()]).expect(2).says("is a file");
    paxosctl(["verify"]).expect(2);
}
