// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"fmt"
	"strings"
)

// Ref names one object. It is also the owner of the facts compiled from that object.
type Ref struct {
	Kind      Kind
	Namespace string // empty for cluster-scoped kinds
	Name      string
}

// String returns "Kind/namespace/name"; cluster-scoped kinds have an empty namespace ("Subnet//ovn-default"), so that
// the text can be parsed back.
func (r Ref) String() string {
	return string(r.Kind) + "/" + r.Namespace + "/" + r.Name
}

// ParseRef reverses [Ref.String].
func ParseRef(s string) (Ref, error) {
	parts := strings.SplitN(s, "/", 3)
	if len(parts) != 3 || parts[0] == "" || parts[2] == "" {
		return Ref{}, fmt.Errorf("owner %q is not of the form Kind/namespace/name", s)
	}
	return Ref{Kind: Kind(parts[0]), Namespace: parts[1], Name: parts[2]}, nil
}

// Compare orders references by kind, namespace and name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Kind, o.Kind), cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Name, o.Name))
}

// Metadata returns the metadata of an object: structs that embed [Meta] have it, whatever their kind.
func (m *Meta) Metadata() *Meta { return m }

// Text formats the name for messages: "Pod default/web-0", "IP web-0.default".
func (r Ref) Text() string {
	if r.Namespace == "" {
		return string(r.Kind) + " " + r.Name
	}
	return string(r.Kind) + " " + r.Namespace + "/" + r.Name
}
