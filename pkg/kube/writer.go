package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// DefaultWriters is how many writes are under way at once when nothing else is said.
const DefaultWriters = 32

// fieldManager names us in metadata.managedFields.
const fieldManager = "woven-controller"

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	// Wrote tells the end of a write at the API server: the kind of the object,
	// with "/status" for that subresource, the verb of RBAC ("create", "patch",
	// "delete") and the result ("ok", or the reason of the API server's error).
	Wrote(kind, verb, result string)
	// SubnetUsed tells used and available addresses of one family of a subnet;
	// protocol is "IPv4" or "IPv6".
	SubnetUsed(subnet, protocol, cidr string, used, available float64)
	// SubnetGone forgets a subnet.
	SubnetGone(subnet string)
}

// Writer is the engine's way to write to the API server. Writes of one object
// are in order, those of different objects run in parallel. Conditions, counters
// and events go through [Status], so that they cannot hold up addresses.
type Writer struct {
	*Status
	client   client.Client // reads what the API server has, not what a cache has
	in       *Intake
	observer Observer
	workers  int
	tasks    *keyedQueue
	kinds    map[model.Kind]Kind
	leading  atomic.Bool
	holds    func() bool
	lost     func(node string) bool
}

var _ engine.Writer = (*Writer)(nil)

// NewWriter makes a writer that keeps what it is told until [Writer.Start].
// workers is how many writes may be under way at once; 0 means [DefaultWriters].
func NewWriter(c client.Client, in *Intake, s *Status, o Observer, workers int) *Writer {
	if workers <= 0 {
		workers = DefaultWriters
	}
	w := &Writer{Status: s, client: c, in: in, observer: o, workers: workers, tasks: newKeyedQueue(), kinds: in.Kinds.byName(), holds: func() bool { return true }, lost: func(string) bool { return false }}
	in.verify = w.verify
	return w
}

// NeedLeaderElection is false: [Writer.Lead] says when to write.
func (w *Writer) NeedLeaderElection() bool { return false }

// Start writes until the context ends.
func (w *Writer) Start(ctx context.Context) error { return w.tasks.run(ctx, w.workers) }

// Lead says whether this process may write. What is still queued when it may
// not any more ends with [ErrNotLeading].
func (w *Writer) Lead(leading bool) {
	w.leading.Store(leading)
	w.Status.Lead(leading)
}

// HoldWhile makes every write ask again whether the lease is still held, so that
// a process that was stopped for long writes nothing when it wakes up. To be
// called before Start.
func (w *Writer) HoldWhile(holds func() bool) { w.holds = holds }

// Write implements [engine.Writer].
func (w *Writer) Write(want compile.Want, done func(error)) {
	switch want := want.(type) {
	case compile.Claim:
		w.createIP(want, done)
	case compile.Annotate:
		w.annotate(want, done)
	case compile.UpdateIPRecord:
		w.updateIPRecord(want, done)
	case compile.Adopt:
		w.adopt(want, done)
	case compile.Release:
		w.release(want, done)
	case compile.CreateSubnet:
		w.createSubnet(want, done)
	case compile.SetGateway:
		w.setGateway(want, done)
	case compile.Finalize:
		w.finalize(want, done)
	default:
		done(fmt.Errorf("write %s: nothing here writes a %T", want.Target(), want))
	}
}

// createIP records an allocation: one request, with labels and finalizer.
func (w *Writer) createIP(c compile.Claim, done func(error)) {
	w.write(c.Target(), done, func(ctx context.Context) error {
		ref := c.Target()
		o := model.IPObject(recordOf(c))
		err := w.told(ref.Kind, "create", w.client.Create(ctx, o, client.FieldOwner(fieldManager)))
		if apierrors.IsAlreadyExists(err) {
			if readErr := w.client.Get(ctx, client.ObjectKeyFromObject(o), o); readErr == nil {
				w.in.wrote(w.kinds[ref.Kind], o)
				return fmt.Errorf("create %s: %w", ref, err)
			}
		}
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("create %s: %w", ref, err)
		}
		w.in.wrote(w.kinds[ref.Kind], o)
		return nil
	})
}

func recordOf(c compile.Claim) model.IP {
	a := c.Allocation
	return model.IP{
		Meta:   model.Meta{Name: c.Target().Name},
		Subnet: a.Subnet, Addrs: a.Addrs, MAC: a.MAC,
		PodName: c.PodName, Namespace: c.For.Namespace,
		NodeName: c.NodeName, PodType: c.PodType, OwnerUID: c.OwnerUID,
	}
}

// annotate patches annotations: one request; an empty value takes one away. An object that is gone, or whose
// name belongs to another one by now, needs none.
func (w *Writer) annotate(a compile.Annotate, done func(error)) {
	values := make(map[string]any, len(a.Annotations))
	for key, value := range a.Annotations {
		if values[key] = value; value == "" {
			values[key] = nil
		}
	}
	w.merge(a.Object, "annotate", map[string]any{"metadata": map[string]any{"uid": a.UID, "annotations": values}}, done)
}

// merge patches one incarnation of an object (RFC 7396): one request. The patch
// names its UID; an object that is gone, or whose name belongs to another one by now, needs none.
func (w *Writer) merge(ref model.Ref, what string, body map[string]any, done func(error)) {
	w.write(ref, done, func(ctx context.Context) error {
		patch, err := json.Marshal(body)
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("%s %s: %w", what, ref, err)
		}
		k := w.kinds[ref.Kind]
		o := named(k, ref)
		err = w.told(k.Name, "patch", w.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)))
		return w.patched(k, ref, o, what, err)
	})
}

// patched ends a patch of one incarnation. If that is gone, nothing is left to do.
func (w *Writer) patched(k Kind, ref model.Ref, o Object, what string, err error) error {
	if err == nil {
		w.in.wrote(k, o)
		return nil
	}
	w.in.failed(ref)
	if isGone(err) {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, ref, err)
}

// write queues a task that may run while this process leads.
func (w *Writer) write(ref model.Ref, done func(error), run func(context.Context) error) {
	w.tasks.add(ref, task{done: done, run: func(ctx context.Context) error {
		if !w.leading.Load() || !w.holds() {
			return fmt.Errorf("write %s: %w", ref, ErrNotLeading)
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		w.in.begin(ref)
		return run(ctx)
	}})
}

// verify reads an object that the watch has not confirmed in time.
func (w *Writer) verify(ref model.Ref) {
	w.tasks.add(ref, task{done: func(error) {}, run: func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		k := w.kinds[ref.Kind]
		o := named(k, ref)
		w.in.begin(ref)
		err := w.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		switch {
		case err == nil:
			w.in.wrote(k, o)
		case apierrors.IsNotFound(err):
			w.in.removed(ref, "")
		default:
			w.in.failed(ref)
		}
		return err
	}})
}

// told passes an error on and counts it.
func (w *Writer) told(k model.Kind, verb string, err error) error {
	w.observer.Wrote(string(k), verb, result(err))
	return err
}

// unreachable is the result of a request that the API server has not answered.
const unreachable = "Unreachable"

func result(err error) string {
	if err == nil {
		return "ok"
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return cmp.Or(string(apierrors.ReasonForError(err)), "Unknown")
	}
	return unreachable
}

// isGone tells that the incarnation that was meant does not exist any more: the
// API server answers NotFound, or refuses to change the UID to that in the patch.
func isGone(err error) bool {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return true
	}
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

func named(k Kind, ref model.Ref) Object {
	o := k.New()
	o.SetNamespace(ref.Namespace)
	o.SetName(ref.Name)
	return o
}

// mergePatch is a patch of metadata (RFC 7396).
func mergePatch(metadata map[string]any) (client.Patch, error) {
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, err
	}
	return client.RawPatch(types.MergePatchType, data), nil
}
