//! The components of a binary: those that its jobs may name.

use std::sync::Arc;

use tributary_core::kernel::Kernels;

use crate::Component;

/// The components that jobs may name, in the order in which people should read them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Components(Arc<[Arc<dyn Component>]>);

impl Components {
    /// The component of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Component>> {
        self.iter().find(|component| component.definition().name == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Component>> {
        self.0.iter()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.iter().map(|component| component.definition().name)
    }

    /// All kernels that plans of these components name: their own, and those of tables.
    pub fn kernels(&self) -> Kernels {
        self.iter()
            .fold(tributary_core::ops::kernels(), |kernels, component| kernels.and(component.kernels()))
    }
}

impl FromIterator<Arc<dyn Component>> for Components {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Component>>>(components: I) -> Self {
        Self(components.into_iter().collect())
    }
}
