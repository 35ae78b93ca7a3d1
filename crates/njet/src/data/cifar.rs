//! CIFAR-10 and CIFAR-100 in their binary version (Krizhevsky 2009): records of one label byte (two in CIFAR-100: coarse,
//! fine) and 32×32 pixels, all red, then all green, then all blue.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{DataError, Dataset, ImageSet};

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;

/// Which of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cifar {
    Ten,
    Hundred,
}

impl Cifar {
    pub(super) const ALL: [Self; 2] = [Self::Ten, Self::Hundred];

    /// The directory that the archive unpacks to.
    pub(super) fn directory(self) -> &'static str {
        match self {
            Self::Ten => "cifar-10-batches-bin",
            Self::Hundred => "cifar-100-binary",
        }
    }

    pub(super) fn training_files(self) -> &'static [&'static str] {
        match self {
            Self::Ten => {
                &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"]
            }
            Self::Hundred => &["train.bin"],
        }
    }

    pub(super) fn test_file(self) -> &'static str {
        match self {
            Self::Ten => "test_batch.bin",
            Self::Hundred => "test.bin",
        }
    }

    pub(super) fn names_file(self) -> &'static str {
        match self {
            Self::Ten => "batches.meta.txt",
            Self::Hundred => "fine_label_names.txt",
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// Bytes of labels before the pixels; the last of them is the class.
    fn labels(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    /// The directory of the set's files: `directory` or the archive's own directory in it.
    pub(super) fn find(self, directory: &Path) -> Option<PathBuf> {
        let any = |place: &Path| {
            let mut files = self.training_files().iter().copied().chain([self.test_file()]);
            files.any(|name| place.join(name).is_file())
        };
        [directory.to_path_buf(), directory.join(self.directory())].into_iter().find(|place| any(place))
    }

    /// Reads the set from the directory of its files.
    pub(super) fn load(self, directory: &Path, name: String) -> Result<Dataset, DataError> {
        let classes = self.names(&directory.join(self.names_file()))?;
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for file in self.training_files() {
            self.read(&directory.join(file), &mut pixels, &mut labels)?;
        }
        let train = ImageSet::new(std::mem::take(&mut pixels), std::mem::take(&mut labels), 3, SIDE, SIDE)?;
        self.read(&directory.join(self.test_file()), &mut pixels, &mut labels)?;
        let test = ImageSet::new(pixels, labels, 3, SIDE, SIDE)?;
        Ok(Dataset { name, classes, train: train.into(), test: test.into() })
    }

    /// The names of the classes, one a line; numbers where there is no file of them.
    fn names(self, path: &Path) -> Result<Vec<String>, DataError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok((0..self.classes()).map(|class| class.to_string()).collect());
            }
            Err(e) => return Err(DataError::from_io(path, e)),
        };
        let text = String::from_utf8_lossy(&text);
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if names.len() != self.classes() {
            let path = path.to_path_buf();
            return Err(DataError::ClassNames { path, found: names.len(), expected: self.classes() });
        }
        Ok(names)
    }

    /// Appends the records of a file.
    fn read(self, path: &Path, pixels: &mut Vec<u8>, labels: &mut Vec<u8>) -> Result<(), DataError> {
        let failed = |error| DataError::from_io(path, error);
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(DataError::NotAFile { path: path.to_path_buf() });
        }
        let (record, length) = (self.labels() + PIXELS, metadata.len());
        if length == 0 {
            return Err(DataError::Empty { path: path.to_path_buf() });
        }
        if length % record as u64 != 0 {
            return Err(DataError::OddLength { path: path.to_path_buf(), length, record });
        }
        let count = usize::try_from(length / record as u64).unwrap_or(usize::MAX);
        let mut file = std::io::BufReader::new(File::open(path).map_err(failed)?);
        let mut bytes = vec![0; record];
        for index in 0..count {
            file.read_exact(&mut bytes).map_err(failed)?;
            let (head, image) = bytes.split_at(self.labels());
            let label = head[self.labels() - 1];
            if usize::from(label) >= self.classes() {
                let path = path.to_path_buf();
                return Err(DataError::LabelOutOfRange { path, index, label, classes: self.classes() });
            }
            labels.push(label);
            pixels.extend_from_slice(image);
        }
        Ok(())
    }
}
