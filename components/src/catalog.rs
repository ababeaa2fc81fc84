//! The components a job may name.

use crate::Component;

/// The components a job may name.
#[derive(Clone, Debug, Default)]
pub struct Catalog<'a>(Vec<&'a dyn Component>);

impl<'a> Catalog<'a> {
    /// The component of a name.
    pub fn get(&self, name: &str) -> Option<&'a dyn Component> {
        self.0.iter().find(|component| component.definition().name == name).copied()
    }

    /// All names, in the order given.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|component| component.definition().name)
    }
}

impl<'a> FromIterator<&'a dyn Component> for Catalog<'a> {
    fn from_iter<I: IntoIterator<Item = &'a dyn Component>>(components: I) -> Self {
        Self(components.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_finds_components_by_name() {
        let all = crate::all();
        let catalog: Catalog<'_> = all.iter().map(AsRef::as_ref).collect();
        assert_eq!(catalog.get("psi").map(|component| component.definition().name), Some("psi"));
        assert!(catalog.get("PSI").is_none());
        assert_eq!(
            catalog.names().collect::<Vec<_>>(),
            all.iter().map(|c| c.definition().name).collect::<Vec<_>>()
        );
    }
}
