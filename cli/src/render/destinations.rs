//! Where variants send requests beside the runtimes, and the headers that say so.

use modelway_decision::Field;

use crate::mesh_file::{Mesh, Service};

/// The route's own cluster, by which variants may name the runtimes, too.
pub(super) const RUNTIMES: &str = "runtimes";

/// What routes need beyond sending everything to the runtimes.
pub(super) struct Destinations<'m> {
    mesh: &'m Mesh,
    /// Whether a variant names its cluster.
    pub(super) has_clusters: bool,
    /// Whether requests are copied.
    pub(super) has_shadows: bool,
}

// === impl Destinations ===

impl<'m> Destinations<'m> {
    pub(super) fn of(mesh: &'m Mesh) -> Self {
        let shadows = mesh.config.models.iter().filter_map(|model| Some((model, &model.shadow.as_ref()?.variant)));
        let is_only_a_shadow = |name: &str| shadows.clone().any(|(_, shadow)| shadow == name);
        let variants = mesh.config.models.iter().flat_map(|model| &model.variants);
        let has_clusters = variants.clone().any(|variant| {
            // A variant that gets nothing but copies sets another header.
            variant.cluster.is_some()
                && !(is_only_a_shadow(&variant.name) && crate::split::greatest_weight(variant) == 0.0)
        });
        Self { mesh, has_clusters, has_shadows: shadows.count() > 0 }
    }

    /// The name of the header that carries a field.
    pub(super) fn header(&self, field: Field) -> &'m str {
        let mut names = self.mesh.router.headers();
        names.find(|(it, _)| *it == field).map(|(_, name)| name).unwrap_or_default()
    }

    /// Pools with services of their own.
    pub(super) fn pools(&self) -> impl Iterator<Item = (&'m str, &'m Service)> {
        self.mesh.deployment.pools.iter().map(|(name, service)| (name.as_str(), service))
    }

    /// Clusters beside the runtimes.
    pub(super) fn clusters(&self) -> impl Iterator<Item = (&'m str, &'m Service)> {
        self.mesh.deployment.clusters.iter().map(|(name, service)| (name.as_str(), service))
    }
}
