// SPDX-License-Identifier: Apache-2.0

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

// DefaultWriters is the default number of concurrent writes.
const DefaultWriters = 32

// fieldManager is the name of this client in metadata.managedFields.
const fieldManager = "woven-controller"

// Observer receives events for metrics. Its methods must not block.
type Observer interface {
	// Wrote reports the end of a write to the API server: the kind of the object, with "/status" for that subresource,
	// the verb of RBAC ("create", "patch", "delete") and the result ("ok", or the reason of the API server's error).
	Wrote(kind, verb, result string)
	// SubnetUsed reports the used and available addresses of one IP family of a subnet; protocol is "IPv4" or "IPv6".
	SubnetUsed(subnet, protocol, cidr string, used, available float64)
	// SubnetGone reports that a subnet is deleted.
	SubnetGone(subnet string)
}

// Writer writes to the API server for the engine. Writes of one object run in order, those of different objects in
// parallel. Conditions, counters and events are written by [Status], so that they cannot delay addresses.
type Writer struct {
	*Status
	client   client.Client // reads from the API server, not from a cache
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

// NewWriter returns a writer that queues writes until [Writer.Start]. workers is the number of concurrent writes; 0
// means [DefaultWriters].
func NewWriter(c client.Client, in *Intake, s *Status, o Observer, workers int) *Writer {
	if workers <= 0 {
		workers = DefaultWriters
	}
	w := &Writer{Status: s, client: c, in: in, observer: o, workers: workers, tasks: newKeyedQueue(), kinds: in.Kinds.byName(), holds: func() bool { return true }, lost: func(string) bool { return false }}
	in.verify = w.verify
	return w
}

// NeedLeaderElection is false: [Writer.Lead] enables writing.
func (w *Writer) NeedLeaderElection() bool { return false }

// Start writes until the context ends.
func (w *Writer) Start(ctx context.Context) error { return w.tasks.run(ctx, w.workers) }

// Lead sets whether this process leads. Writes that are queued when it stops leading end with [ErrNotLeading].
func (w *Writer) Lead(leading bool) {
	w.leading.Store(leading)
	w.Status.Lead(leading)
}

// HoldWhile sets the function that each write calls to check that the lease is still held, so that a process that was
// paused for long writes nothing when it resumes. Call it before Start.
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
		w.releaseIP(want, done)
	case compile.CreateSubnet:
		w.createSubnet(want, done)
	case compile.SetGateway:
		w.setGateway(want, done)
	case compile.Finalize:
		w.finalize(want, done)
	default:
		done(fmt.Errorf("write %s: unknown type of write %T", want.Target(), want))
	}
}

// createIP records an allocation: one request, with labels and finalizer.
func (w *Writer) createIP(c compile.Claim, done func(error)) {
	w.write(c.Target(), done, func(ctx context.Context) error {
		ref := c.Target()
		o := model.IPObject(recordOf(c))
		err := w.observe(ref.Kind, "create", w.client.Create(ctx, o, client.FieldOwner(fieldManager)))
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

// annotate patches annotations: one request; an empty value removes an annotation. An object that was deleted or
// recreated is not changed.
func (w *Writer) annotate(a compile.Annotate, done func(error)) {
	values := make(map[string]any, len(a.Annotations))
	for key, value := range a.Annotations {
		if values[key] = value; value == "" {
			values[key] = nil
		}
	}
	w.merge(a.Object, "annotate", map[string]any{"metadata": map[string]any{"uid": a.UID, "annotations": values}}, done)
}

// merge patches an object (RFC 7396): one request. The patch contains its UID, so that an object that was recreated is
// not changed; done gets no error then.
func (w *Writer) merge(ref model.Ref, what string, body map[string]any, done func(error)) {
	w.write(ref, done, func(ctx context.Context) error {
		patch, err := json.Marshal(body)
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("%s %s: %w", what, ref, err)
		}
		k := w.kinds[ref.Kind]
		o := named(k, ref)
		err = w.observe(k.Name, "patch", w.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)))
		return w.patched(k, ref, o, what, err)
	})
}

// patched ends a patch. It is no error if the object was deleted or recreated.
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

// write queues a task that runs only while this process leads.
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

// observe reports the result of a write to the observer, and returns err.
func (w *Writer) observe(k model.Kind, verb string, err error) error {
	w.observer.Wrote(string(k), verb, result(err))
	return err
}

// unreachable is the result of a request without a response.
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

// isGone reports whether an error means that the object with the UID of a patch no longer exists: the API server
// returns NotFound, or refuses to change the UID to that of the patch.
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
