// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"

	"github.com/wovensdn/woven/pkg/model"
)

// Key is the key of an object in its table, or of a bucket in an index.
type Key struct {
	Namespace string // empty for cluster-scoped kinds
	Name      string
}

// KeyOf returns the key of an object in its table.
func KeyOf(ref model.Ref) Key { return Key{Namespace: ref.Namespace, Name: ref.Name} }

// Ref returns the reference of the object of a kind with this key.
func (k Key) Ref(kind model.Kind) model.Ref {
	return model.Ref{Kind: kind, Namespace: k.Namespace, Name: k.Name}
}

// Compare orders keys by namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// String returns "namespace/name", or only the name for cluster-scoped kinds.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}
