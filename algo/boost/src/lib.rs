//! Gradient boosting of trees over columns of several parties, by sums of encrypted gradients: SecureBoost (Cheng, Fan, Jin, Liu, Chen,
//! Papadopoulos and Yang, IEEE Intelligent Systems 2021).
//!
//! The guest has the label. For each tree it quantises its gradients ([`quantise`]) and encrypts them, two in one plaintext; for each
//! level every host adds up ciphertexts by the bins of its columns ([`encrypted`]), the guest decrypts the sums and finds the best division
//! of each node ([`split`]), and the party whose column it is says which rows go to the left ([`sides`]). Prediction walks through all
//! trees at once ([`walk`]).
//!
//! What makes it quick: a sum is one product modulo n² in place ([`tributary_paillier::Additive::add`]); of two children the one with fewer
//! rows is added up, and the other is the difference *of decrypted sums*, at the guest; the bin with the most rows of each
//! column is not added up at all, since the guest knows the sum of all; and what is left travels with many sums in a ciphertext. So a host
//! sends sums by bin, as algorithm 1 of the paper does, and not, as FATE does, sums of all bins up to one in a random order: order hides
//! little (sums of second derivatives rise with the bins) and costs a decryption for each bin of both children.
//!
//! Everything is exact: sums are of integers, so trees do not depend on partitions, engines or the number of hosts.
//!
//! ```
//! use tributary_boost::{Objective, Scale, Targets};
//!
//! let targets = Targets { labels: vec![0.0, 1.0, 1.0], weights: None };
//! let gradients = &Objective::Binary.gradients(&[vec![0.0; 3]], &targets)[0];
//! assert_eq!(gradients.g, [0.5, -0.5, -0.5]);
//! let scale = Scale::of(gradients);
//! let sum: i64 = scale.quantise(gradients).g.iter().sum();
//! assert_eq!(scale.g(sum), -0.5);
//! ```

#![warn(missing_docs)]

pub mod objective;
pub mod quantise;
pub mod sampling;
pub mod split;
pub mod tree;
pub mod groups;

pub mod columns;
pub mod histogram;
pub mod encrypted;
pub mod sides;
pub mod strays;
pub mod walk;

pub use objective::{Gradients, Objective, Targets};
pub use quantise::{Quantised, Scale};
pub use split::{Column, Found, Left, Rules, Sum};
pub use tree::{Bins, Fate, Split, Tree, TreeNode};

use tributary_core::kernel::Kernels;

/// Every kernel of this crate.
pub fn kernels() -> Kernels {
    Kernels::default()
        .fold::<histogram::AddUp>()
        .map::<encrypted::EncryptGradients>()
        .fold::<encrypted::AddEncrypted>()
        .fold::<encrypted::PackSums>()
        .map::<encrypted::DecryptSums>()
        .map::<sides::Divide>()
        .fold::<strays::Strays>()
        .map::<walk::Walk>()
        .map::<walk::Ask>()
        .map::<walk::Answer>()
        .map::<walk::Score>()
}
