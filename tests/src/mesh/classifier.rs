//! Model files of any number and size, each with weights of its own and answers that say which model gave them.
//!
//! A file is a support vector classifier as scikit-learn pickles it, two classes and a linear kernel. The classes are
//! the numbers `2 · tag` and `2 · tag + 1`, and the sign of a row's first feature decides between them; all other
//! weights, drawn by the tag, are real work that cancels out.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::random::Random;

/// Features of every model: a row of FP32 is 1 KiB.
pub const FEATURES: usize = 256;

/// A model to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// What its answers say.
    pub tag: u32,
    /// Support vectors of each class, 4 KiB for each.
    pub pairs: usize,
}

/// Writes pickles, protocol 3.
struct Pickle(Vec<u8>);

// === impl Classifier ===

impl Classifier {
    /// The smallest one.
    pub fn new(tag: u32) -> Self {
        Self { tag, pairs: 1 }
    }

    /// The same, so many times as large.
    #[must_use]
    pub fn sized(self, pairs: usize) -> Self {
        Self { pairs, ..self }
    }

    /// The class of a row that begins with this feature.
    pub fn class(tag: u32, is_positive: bool) -> i64 {
        2 * i64::from(tag) + i64::from(is_positive)
    }

    /// Puts its file into a folder, as the model `name`, in one step.
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.pkl"));
        // Hidden files are no models.
        let written = folder.join(format!(".{name}.new"));
        std::fs::write(&written, self.pickled())?;
        std::fs::rename(&written, &path)?;
        Ok(path)
    }

    /// The file's bytes.
    pub fn pickled(&self) -> Vec<u8> {
        let vectors = 2 * self.pairs;
        let halves = [self.pairs as i32; 2].map(i32::to_le_bytes).concat();
        let classes = [false, true].map(|is_positive| Self::class(self.tag, is_positive).to_le_bytes()).concat();
        // A pair's decision value above zero is a vote for the first class.
        let coefficients: Vec<f64> = (0..vectors).map(|vector| if vector < self.pairs { 1.0 } else { -1.0 }).collect();

        let mut pickle = Pickle(vec![0x80, 3]);
        pickle.global("sklearn.svm._classes", "SVC");
        pickle.0.extend(*b")\x81}(");
        pickle.text("kernel").text("linear");
        pickle.text("_sparse").0.push(FALSE);
        pickle.text("probability").0.push(FALSE);
        pickle.text("break_ties").0.push(FALSE);
        pickle.text("n_features_in_").integer(FEATURES);
        pickle.text("_sklearn_version").text("1.9.1");
        pickle.text("classes_").array("i8", &[2], &classes);
        pickle.text("_n_support").array("i4", &[2], &halves);
        pickle.text("support_vectors_").array("f8", &[vectors, FEATURES], &bytes(&self.vectors()));
        pickle.text("_dual_coef_").array("f8", &[1, vectors], &bytes(&coefficients));
        pickle.text("_intercept_").array("f8", &[1], &bytes(&[0.0]));
        pickle.0.extend(*b"ub.");
        pickle.0
    }

    /// Of each pair the two differ in the first feature only.
    fn vectors(&self) -> Vec<f64> {
        let mut random = Random::new(u64::from(self.tag) + 1);
        let mut first_class = Vec::with_capacity(self.pairs * FEATURES);
        for _ in 0..self.pairs {
            first_class.push(-1.0);
            first_class.extend((1..FEATURES).map(|_| (random.below(2001) as f64 - 1000.0) / 1000.0));
        }
        let mut second_class = first_class.clone();
        for vector in second_class.chunks_mut(FEATURES) {
            if let Some(first) = vector.first_mut() {
                *first = 1.0;
            }
        }
        [first_class, second_class].concat()
    }
}

fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Opcodes of `pickletools`.
const FALSE: u8 = 0x89;
const TRUE: u8 = 0x88;

// === impl Pickle ===

impl Pickle {
    fn global(&mut self, module: &str, name: &str) -> &mut Self {
        self.0.extend(format!("c{module}\n{name}\n").into_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn integer(&mut self, number: usize) -> &mut Self {
        self.0.push(b'J');
        self.0.extend((number as u32).to_le_bytes());
        self
    }

    fn array(&mut self, dtype: &str, shape: &[usize], content: &[u8]) -> &mut Self {
        self.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
        self.0.extend(*b"K\0\x85C\x01b\x87R(K\x01(");
        for dimension in shape {
            self.integer(*dimension);
        }
        self.0.push(b't');
        self.global("numpy", "dtype").text(dtype);
        self.0.extend([FALSE, TRUE, 0x87]);
        self.0.extend(*b"R(K\x03");
        self.text("<");
        self.0.extend(*b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb");
        self.0.extend([FALSE, b'B']);
        self.0.extend((content.len() as u32).to_le_bytes());
        self.0.extend(content);
        self.0.extend(*b"tb");
        self
    }
}
