package kube

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wovensdn/woven/pkg/engine"
)

// entry is what an informer stores in place of an object: its identity. The
// projection rides along until the handler has taken it; from then on the world
// holds the only copy. At 100,000 pods that is 10 MB here instead of 1 GB.
type entry struct {
	// Methods of metav1.Object that informers never call answer from one
	// shared, empty ObjectMeta.
	*metav1.ObjectMeta

	namespace, name string
	uid             types.UID
	rv              uint64
	change          *engine.Change // nil once taken
	object          Object         // the object itself, for kinds with a status
}

var emptyMeta = &metav1.ObjectMeta{}

// GetNamespace is part of the key in the informer's store.
func (e *entry) GetNamespace() string { return e.namespace }

// GetName is part of the key in the informer's store.
func (e *entry) GetName() string { return e.name }

// GetUID identifies the incarnation.
func (e *entry) GetUID() types.UID { return e.uid }

// GetResourceVersion lets the informer tell a resync from a change.
func (e *entry) GetResourceVersion() string { return strconv.FormatUint(e.rv, 10) }

// resourceVersion reads a resource version, which orders the versions of one
// resource (KEP-5504). An unreadable one is older than everything.
func resourceVersion(o metav1.Object) uint64 {
	rv, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return rv
}

func newEntry(k Kind, o Object) *entry {
	change := k.Project(o)
	e := &entry{
		ObjectMeta: emptyMeta, namespace: o.GetNamespace(), name: o.GetName(), uid: o.GetUID(),
		rv: resourceVersion(o), change: &change,
	}
	if k.Status != nil {
		o.SetManagedFields(nil)
		e.object = o
	}
	return e
}
