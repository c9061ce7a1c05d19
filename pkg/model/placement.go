// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"slices"
)

// Placement is which namespaces' pods may name a subnet in their annotations. What an administrator chose for a
// namespace (its annotation, the spec of the Subnet or of the Vpc, the cluster's default) is always permitted.
type Placement struct {
	// Restricted subnets are private, or bound to namespaces by their spec.
	Restricted bool
	// Namespaces are those of the annotation allowed_namespaces; "*" stands for all.
	Namespaces []string
}

// Placement returns which namespaces' pods may name the subnet.
func (s *Subnet) Placement() Placement {
	return Placement{
		Restricted: s.Private || len(s.Namespaces)+len(s.NamespaceSelectors) > 0,
		Namespaces: s.AllowedNamespaces,
	}
}

// Permits reports whether pods of a namespace may name the subnet although no administrator chose it for them.
func (p Placement) Permits(namespace string) bool {
	return !p.Restricted || slices.Contains(p.Namespaces, "*") || slices.Contains(p.Namespaces, namespace)
}

// PlacementProblem reports that a pod names a subnet that is not for its namespace.
func PlacementProblem(field, subnet, namespace string) Problem {
	return Problem{Reason: ReasonSubnetNotPermitted, Field: field, Message: fmt.Sprintf(
		"Subnet %s is private or bound to namespaces, and namespace %s is not one of them: an administrator can add it to spec.namespaces or to the annotation allowed_namespaces of the Subnet",
		subnet, namespace)}
}

// NodeSubnetProblem reports that a pod asks for an address of the nodes' subnet.
func NodeSubnetProblem(field, subnet string) Problem {
	return Problem{Reason: ReasonSubnetNotPermitted, Field: field, Message: fmt.Sprintf("Subnet %s is for nodes: pods get no address of it", subnet)}
}
