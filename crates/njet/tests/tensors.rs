//! Tensors from files: those of PyTorch and NumPy themselves (`torch_save/make.py`), and hostile ones.

use njet::interop::tensors::{Dtype, Format, TensorError, TensorFile};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch_save").join(name)
}

fn open(name: &str) -> TensorFile {
    TensorFile::open(&place(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn read(bytes: &[u8]) -> Result<TensorFile, TensorError> {
    TensorFile::from_bytes("some.pth".as_ref(), bytes.to_vec())
}

#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    read(bytes).expect_err("it is refused").to_string()
}

fn values(file: &TensorFile, name: &str) -> (Vec<usize>, Vec<f64>) {
    let tensor = file.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", file.tensors()));
    (tensor.shape.clone(), file.values_f64(tensor).unwrap())
}

/// What `make.py` puts into its state dict, with a prefix before each name.
#[track_caller]
fn has_state(file: &TensorFile, prefix: &str) {
    let of = |name: &str| values(file, &format!("{prefix}{name}"));
    let ramp = |place: usize| place as f64 / 4.0 - 1.0;
    assert_eq!(of("plain"), (vec![2, 3, 4], (0..24).map(ramp).collect()));
    let turned = (0..4).flat_map(|k| (0..6).map(move |ij| ramp(4 * ij + k)));
    assert_eq!(of("turned"), (vec![4, 2, 3], turned.collect()));
    let part = (0..3).flat_map(|row| [ramp(12 + 4 * row + 1), ramp(12 + 4 * row + 2)]);
    assert_eq!(of("part"), (vec![3, 2], part.collect()));
    assert_eq!(of("double"), (vec![2], vec![0.1, -1e300]));
    assert_eq!(of("half"), (vec![3], vec![1.5, -0.25, 65504.0]));
    assert_eq!(of("brain"), (vec![3], vec![1.5, -2.5, 2f64.powi(100)]));
    assert_eq!(of("long"), (vec![], vec![7.0]));
    assert_eq!(of("byte"), (vec![2], vec![0.0, 255.0]));
    assert_eq!(of("bool"), (vec![2], vec![1.0, 0.0]));
    assert_eq!(of("parameter"), (vec![1], vec![3.0]));
    assert_eq!(of("none"), (vec![0, 5], vec![]));
}

#[test]
fn a_state_dict_of_either_form() {
    for (name, format) in [("state.pth", Format::PytorchZip), ("state_legacy.pth", Format::PytorchLegacy)] {
        let file = open(name);
        assert_eq!(file.format(), format);
        has_state(&file, "");
        let names: Vec<&str> = file.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names[..4], ["plain", "turned", "part", "double"], "in the order they were saved");
        assert_eq!(names.len(), 11);
        assert_eq!(file.get("brain").unwrap().dtype, Dtype::Bf16);
        assert_eq!(file.values(file.get("double").unwrap()).unwrap()[0], 0.1f32);
    }
}

#[test]
fn a_checkpoint_has_its_keys_before_the_names() {
    let file = open("checkpoint.pth.tar");
    has_state(&file, "state_dict.module.");
    assert_eq!(values(&file, "optimizer.state.0.momentum_buffer"), (vec![2], vec![1.0; 2]));
    assert_eq!(file.tensors().len(), 12);
}

#[test]
fn a_pickled_module_is_refused_by_name() {
    let message = TensorFile::open(&place("module.pth")).unwrap_err().to_string();
    assert!(message.contains("\"torch.nn.modules.linear.Linear\"") && message.contains("state_dict()"), "{message}");
}

#[test]
fn arrays_of_numpy() {
    let file = open("column_major.npy");
    assert_eq!(values(&file, "column_major"), (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    let file = open("arrays.npz");
    assert_eq!(values(&file, "first"), (vec![3], vec![0.0, 1.0, 2.0]));
    assert_eq!(values(&file, "second"), (vec![], vec![2.5]));
}

#[test]
fn safetensors_in_the_order_of_the_file() {
    use safetensors::tensor::{Dtype as D, TensorView, serialize};
    let (ones, halves) = ([1.0f32; 4].map(f32::to_le_bytes).concat(), [0u8, 0x3c, 0, 0xbc]);
    let views = [
        ("b", TensorView::new(D::F32, vec![2, 2], &ones).unwrap()),
        ("a", TensorView::new(D::F16, vec![2], &halves).unwrap()),
    ];
    let bytes = serialize(views, None).unwrap();
    let file = read(&bytes).unwrap();
    assert_eq!(values(&file, "b"), (vec![2, 2], vec![1.0; 4]));
    assert_eq!(values(&file, "a"), (vec![2], vec![1.0, -1.0]));
    assert_eq!(file.tensors()[0].name, "b");
    let message = refusal(&bytes[..bytes.len() - 1]);
    assert!(message.starts_with("some.pth: the safetensors file is damaged: "), "{message}");
}

#[test]
fn what_is_no_file_of_tensors_is_told() {
    let said = |bytes: &[u8], words: &str| {
        let message = refusal(bytes);
        assert!(message.starts_with("some.pth: ") && message.contains(words), "{message}");
    };
    said(b"", "the file is empty; tensors are read from .safetensors");
    said(b"import os\n", "no file of tensors that is known");
    said(&[0x1f, 0x8b, 8, 0], "a gzip file: unpack it first");
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    said(&tar, "a tar archive, which PyTorch wrote before 2017");
    said(
        b"\x93NUMPY\x01\0\x46\0{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }",
        "damaged: the header is cut off",
    );
    let header = format!("{:<70}", "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }");
    said(&[b"\x93NUMPY\x01\0\x46\0", header.as_bytes(), &[0; 8]].concat(), "of the type c8, which is not read");
    let header = header.replace("<c8", "<f4").replace("(1,)", "(9,)");
    said(&[b"\x93NUMPY\x01\0\x46\0", header.as_bytes(), &[0; 8]].concat(), "[9] is larger than the file");
    assert!(matches!(TensorFile::open(&place("absent.pth")), Err(TensorError::Io { .. })));
    let message = TensorFile::open(&place("")).unwrap_err().to_string();
    assert!(message.contains("a directory"), "{message}");
}

/// Instructions of a pickle, by Python's names.
mod instruction {
    pub const PROTO_2: &[u8] = &[0x80, 2];
    pub const EMPTY_DICT: &[u8] = b"}";
    pub const EMPTY_TUPLE: &[u8] = b")";
    pub const EMPTY_LIST: &[u8] = b"]";
    pub const MARK: &[u8] = b"(";
    pub const TUPLE: &[u8] = b"t";
    pub const TUPLE1: &[u8] = &[0x85];
    pub const TUPLE2: &[u8] = &[0x86];
    pub const POP: &[u8] = b"0";
    pub const DUP: &[u8] = b"2";
    pub const REDUCE: &[u8] = b"R";
    pub const PERSISTENT: &[u8] = b"Q";
    pub const SET: &[u8] = b"s";
    pub const APPEND: &[u8] = b"a";
    pub const PUT_0: &[u8] = b"q\0";
    pub const GET_0: &[u8] = b"h\0";
    pub const STOP: &[u8] = b".";

    pub fn text(text: &str) -> Vec<u8> {
        [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    pub fn global(module: &str, name: &str) -> Vec<u8> {
        format!("c{module}\n{name}\n").into_bytes()
    }

    pub fn int(number: i64) -> Vec<u8> {
        [&[0x8a, 8], number.to_le_bytes().as_slice()].concat()
    }
}
use instruction::*;

/// A pickle of these instructions.
fn pickle(instructions: &[&[u8]]) -> Vec<u8> {
    [PROTO_2, &instructions.concat(), STOP].concat()
}

/// An archive as torch.save makes it: a pickle, and one storage named 0.
fn archive(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", storage)] {
        let sizes = [(bytes.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        let name_length = (name.len() as u16).to_le_bytes();
        let at = (file.len() as u32).to_le_bytes();
        file.extend(
            [b"PK\x03\x04".as_slice(), &[0; 10], &[0; 4], &sizes, &name_length, &[0; 2], name.as_bytes()].concat(),
        );
        file.extend(bytes);
        directory.extend([b"PK\x01\x02".as_slice(), &[0; 8], &[0; 4], &[0; 4], &sizes, &name_length].concat());
        directory.extend([&[0; 12], at.as_slice(), name.as_bytes()].concat());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    let counts = [0, 0, 0, 0, 2, 0, 2, 0];
    file.extend([b"PK\x05\x06".as_slice(), &counts, &length.to_le_bytes(), &start.to_le_bytes(), &[0; 2]].concat());
    file
}

/// Instructions that leave a tensor of storage 0 on the stack.
fn tensor(elements: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let counts = |counts: &[i64]| [MARK, &counts.iter().flat_map(|&n| int(n)).collect::<Vec<u8>>(), TUPLE].concat();
    let float = global("torch", "FloatStorage");
    let storage =
        [MARK, &text("storage"), &float, &text("0"), &text("cpu"), &int(elements), TUPLE, PERSISTENT].concat();
    let arguments = [MARK, &storage, &int(offset), &counts(shape), &counts(strides), &[0x89], b"N", TUPLE].concat();
    [global("torch._utils", "_rebuild_tensor_v2"), arguments, REDUCE.to_vec()].concat()
}

/// A state dict of one tensor, `w`, on a storage of four numbers.
fn state(tensor: &[u8]) -> Vec<u8> {
    let numbers = [1.0f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    archive(&pickle(&[EMPTY_DICT, &text("w"), tensor, SET]), &numbers)
}

#[test]
fn tensors_stay_inside_their_storage() {
    let sound = |offset, shape: &[i64], strides: &[i64]| {
        values(&read(&state(&tensor(4, offset, shape, strides))).unwrap(), "w")
    };
    assert_eq!(sound(0, &[2, 2], &[1, 2]), (vec![2, 2], vec![1.0, 3.0, 2.0, 4.0]));
    assert_eq!(sound(3, &[1], &[1]), (vec![1], vec![4.0]));
    assert_eq!(sound(1, &[2, 2], &[0, 2]), (vec![2, 2], vec![2.0, 4.0, 2.0, 4.0]));
    let damaged = |elements, offset, shape: &[i64], strides: &[i64]| {
        let message = refusal(&state(&tensor(elements, offset, shape, strides)));
        assert!(message.contains("the PyTorch archive is damaged: "), "{message}");
    };
    damaged(4, 0, &[5], &[1]);
    damaged(4, 1, &[2, 2], &[2, 1]);
    damaged(4, 5, &[0], &[1]);
    damaged(5, 0, &[4], &[1]);
    damaged(4, 0, &[i64::MAX, i64::MAX], &[1, 1]);
    damaged(4, 0, &[2], &[i64::MAX]);
    damaged(4, i64::MAX, &[2], &[1]);
    damaged(4, 0, &[-1], &[1]);
    damaged(4, 0, &[2, 2], &[1]);
    // Four numbers that are to stand for 2⁴⁰.
    damaged(4, 0, &[1 << 20, 1 << 20], &[0, 0]);
}

/// Whatever a pickle asks for beyond tensors, even where it throws the result away, it is told and nothing is done.
#[test]
fn nothing_is_executed() {
    let call = [global("posix", "system"), text("touch /tmp/njet-was-here"), TUPLE1.to_vec(), REDUCE.to_vec()].concat();
    let hidden = archive(&pickle(&[&call, POP, EMPTY_DICT, &text("w"), &tensor(4, 0, &[4], &[1]), SET]), &[0; 16]);
    let dictionary = pickle(&[EMPTY_DICT, &text("w"), &call, SET]);
    let old = b"cposix\nsystem\n(S'touch /tmp/njet-was-here'\ntR.".to_vec();
    let by_stack = pickle(&[&text("posix"), &text("system"), &[0x93], &text("x"), TUPLE1, REDUCE]);
    for file in [hidden, archive(&dictionary, &[]), dictionary, old, by_stack] {
        let message = refusal(&file);
        assert!(
            message.contains("the pickle asks for \"posix.system\"") && message.contains("nothing is executed"),
            "{message}"
        );
    }
    for (module, name) in
        [("builtins", "eval"), ("builtins", "getattr"), ("torch", "load"), ("torch.hub", "load"), ("numpy", "load")]
    {
        let message = refusal(&pickle(&[&global(module, name), EMPTY_TUPLE, REDUCE]));
        assert!(message.contains(&format!("\"{module}.{name}\"")), "{message}");
    }
    assert!(!Path::new("/tmp/njet-was-here").exists());
}

#[test]
fn bombs_are_small() {
    let no_tensors = |instructions: &[&[u8]], words: &str| {
        let message = refusal(&pickle(instructions));
        assert!(message.contains(words), "{message}");
    };
    // A dictionary that holds itself, and lists likewise.
    no_tensors(&[EMPTY_DICT, PUT_0, &text("self"), GET_0, SET], "more than 64 deep");
    no_tensors(&[EMPTY_LIST, PUT_0, GET_0, APPEND], "without tensors");
    // Each dictionary holds the one before twice: 2⁶⁰ entries.
    let mut laughs = EMPTY_DICT.to_vec();
    for _ in 0..60 {
        laughs.extend([PUT_0, POP, EMPTY_DICT, &text("a"), GET_0, SET, &text("b"), GET_0, SET].concat());
    }
    no_tensors(&[&laughs], "no state dict");
    // The same of tuples.
    no_tensors(&[EMPTY_TUPLE, &[DUP, TUPLE2].concat().repeat(100_000)], "without tensors");
    no_tensors(
        &[EMPTY_DICT, &[text("a"), EMPTY_DICT.to_vec()].concat().repeat(100_000), &b"s".repeat(100_000)],
        "64 deep",
    );
    // One list, made into dictionaries again and again.
    let pair = [text("k"), text("v"), TUPLE2.to_vec(), APPEND.to_vec()].concat();
    let list = [EMPTY_LIST, &pair.repeat(5_000), PUT_0].concat();
    let dictionary = [global("collections", "OrderedDict"), GET_0.to_vec(), TUPLE1.to_vec(), REDUCE.to_vec()].concat();
    no_tensors(&[&list, &dictionary.repeat(20_000)], "it copies without end");
    // Storages and tensors without end, a few bytes for each.
    let long = "k".repeat(1024);
    let storage =
        [MARK, &text("storage"), &global("torch", "FloatStorage"), &text(&long), &text("cpu"), &int(1), TUPLE];
    let storages = [&storage.concat(), PUT_0, POP, &[GET_0, PERSISTENT, POP].concat().repeat(300_000)].concat();
    no_tensors(&[&storages], "more than 262144 tensors");
    let [call, rest] = [&tensor(4, 0, &[1; 60], &[1; 60]), REDUCE].map(|part| part.to_vec());
    let (function, arguments) =
        call[..call.len() - rest.len()].split_at(global("torch._utils", "_rebuild_tensor_v2").len());
    let tensors =
        [function, PUT_0, POP, arguments, b"q\x01", POP, &[GET_0, b"h\x01", REDUCE, POP].concat().repeat(300_000)];
    no_tensors(&tensors, "more than 262144 tensors");
    // The keys of an old file's storages likewise.
    let magic = [&[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19], STOP].concat();
    let machine = pickle(&[EMPTY_DICT, &text("little_endian"), &[0x88], SET]);
    let keys = [EMPTY_LIST, MARK, &text(&long), PUT_0, &GET_0.repeat(300_000), b"e"];
    let legacy = [magic, pickle(&[&int(1001)]), machine, pickle(&[EMPTY_DICT]), pickle(&keys)].concat();
    assert!(refusal(&legacy).contains("it does not name its storages"), "{}", refusal(&legacy));
    // Lengths that promise more than there is; memos out of all proportion; marks without end.
    no_tensors(&[&[0x8d], &u64::MAX.to_le_bytes()], "cut off");
    no_tensors(&[b"N", b"r\xff\xff\xff\xff"], "a memo far beyond its objects");
    no_tensors(&[&b"(".repeat(1 << 20)], "makes no sense");
    no_tensors(&[b"N"], "without tensors");
    no_tensors(&[], "it takes more from the stack than there is");
    no_tensors(&[b"h\x09"], "it remembers what it was not told");
    no_tensors(&[b"\xff"], "0xff at byte 2 is no instruction");
}

#[test]
fn compressed_and_foreign_archives_are_told() {
    let sound = archive(&pickle(&[EMPTY_DICT, &text("w"), &tensor(4, 0, &[4], &[1]), SET]), &[0; 16]);
    assert!(read(&sound).is_ok());
    let directory = sound.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let changed = |at: usize, to: u8| {
        let mut file = sound.clone();
        file[directory + at] = to;
        refusal(&file)
    };
    assert!(changed(10, 8).contains("a compressed archive (a/data.pkl)"));
    assert!(changed(8, 1).contains("an encrypted archive"));
    assert!(changed(16, 1).contains("the checksum of a/data.pkl is wrong"));
    assert!(changed(50, b'b').contains("neither torch.save nor numpy.savez made it"));
    // The storage as large as the file, and the pickle in it.
    let second = directory + 46 + "a/data.pkl".len();
    let mut file = sound.clone();
    let size = ((file.len() - 60) as u32).to_le_bytes();
    for at in [20, 24] {
        file[second + at..second + at + 4].copy_from_slice(&size);
    }
    file[second + 42..second + 46].copy_from_slice(&[0; 4]);
    assert!(refusal(&file).contains("its entries overlap"), "{}", refusal(&file));
}

/// Cut off anywhere, every kind of file is an error, and no panic.
#[test]
fn a_part_of_a_file_is_an_error() {
    for name in ["state.pth", "state_legacy.pth", "checkpoint.pth.tar", "column_major.npy", "arrays.npz"] {
        let whole = std::fs::read(place(name)).unwrap();
        assert!(read(&whole).is_ok(), "{name}");
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{name}: the first {length} of {} bytes", whole.len());
        }
    }
}

proptest! {
    /// Whatever a file holds, there is an answer, and values of tensors that are found can be read.
    #[test]
    fn damage_does_no_harm(file in 0usize..4, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let name = ["state.pth", "state_legacy.pth", "column_major.npy", "arrays.npz"][file];
        let mut bytes = std::fs::read(place(name)).unwrap();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Ok(file) = read(&bytes) {
            for tensor in file.tensors() {
                prop_assert_eq!(file.values_f64(tensor).unwrap().len(), tensor.len());
            }
        }
    }

    /// Pickles of random instructions.
    #[test]
    fn random_pickles_do_no_harm(bytes in prop::collection::vec(prop::sample::select(b"}]()tuesbR.QcKN0q\0h\x85\x86\x87\x93\x94\x8c\x8a\x01\x02\nX2dla".to_vec()), 0..200)) {
        let _ = read(&pickle(&[&bytes]));
    }
}

/// The same network in four files.
#[test]
fn the_oracle_in_every_form() {
    let oracle = std::env::var_os("NJET_ORACLE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"), PathBuf::from);
    if !oracle.is_dir() {
        eprintln!("SKIPPED: {} is not at hand: the checkpoints of the oracle were not read", oracle.display());
        return;
    }
    let open = |name: &str| TensorFile::open(&oracle.join(name)).unwrap_or_else(|e| panic!("{e}"));
    let reference = open("nin_shared_srf.safetensors");
    assert!(reference.tensors().len() > 40);
    for (name, prefix) in [
        ("nin_shared_srf.pth", ""),
        ("nin_shared_srf_legacy.pth", ""),
        ("nin_shared_srf_checkpoint.pth.tar", "state_dict.module."),
    ] {
        let file = open(name);
        for tensor in reference.tensors() {
            let (shape, found) = values(&file, &format!("{prefix}{}", tensor.name));
            assert_eq!(
                (&shape, &found),
                (&tensor.shape, &reference.values_f64(tensor).unwrap()),
                "{name}: {}",
                tensor.name
            );
        }
    }
}
