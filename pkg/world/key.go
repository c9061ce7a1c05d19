package world

import (
	"cmp"

	"github.com/wovensdn/woven/pkg/model"
)

// Key names an object in its table, and a bucket of an index.
type Key struct {
	Namespace string // empty for cluster-scoped kinds
	Name      string
}

// KeyOf is the key of an object in its table.
func KeyOf(ref model.Ref) Key { return Key{Namespace: ref.Namespace, Name: ref.Name} }

// Ref names the object of a kind that has this key.
func (k Key) Ref(kind model.Kind) model.Ref {
	return model.Ref{Kind: kind, Namespace: k.Namespace, Name: k.Name}
}

// Compare orders keys by namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// String gives "namespace/name", or the name alone for cluster-scoped kinds, as kubectl users write it.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}
