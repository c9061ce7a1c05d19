// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
)

// releaseIP deletes an IP object and removes our finalizer, in this order: if this process exits in between, the object
// still exists with its deletionTimestamp.
func (w *Writer) releaseIP(r compile.Release, done func(error)) {
	ref, uid := r.Target(), types.UID(r.UID)
	w.write(ref, done, func(ctx context.Context) error {
		o := named(w.kinds[ref.Kind], ref)
		err := w.observe(ref.Kind, "delete", w.client.Delete(ctx, o, client.Preconditions{UID: &uid}))
		if err == nil {
			err = w.unfinalize(ctx, ref, uid)
		}
		switch {
		case err == nil, apierrors.IsNotFound(err):
			w.in.removed(ref, uid)
			return nil
		case apierrors.IsConflict(err): // the object was recreated
			w.in.failed(ref)
			return nil
		default:
			w.in.failed(ref)
			return fmt.Errorf("release %s: %w", ref, err)
		}
	})
}

// unfinalize removes our finalizer from an object: one request if it is the only one.
func (w *Writer) unfinalize(ctx context.Context, ref model.Ref, uid types.UID) error {
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": uid},
		{"op": "test", "path": "/metadata/finalizers", "value": []string{annotations.Finalizer}},
		{"op": "remove", "path": "/metadata/finalizers"},
	})
	if err != nil {
		return err
	}
	o := named(w.kinds[ref.Kind], ref)
	err = w.observe(ref.Kind, "patch", w.client.Patch(ctx, o, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(fieldManager)))
	if !apierrors.IsInvalid(err) {
		return err
	}
	// A test failed: there are other finalizers, none, or another object.
	left, err := w.refinalize(ctx, ref, func(o Object) ([]string, error) {
		if o.GetUID() != uid {
			return nil, apierrors.NewNotFound(w.kinds[ref.Kind].resource(), ref.Name)
		}
		return withoutOurs(o.GetFinalizers()), nil
	})
	if err == nil && len(left.GetFinalizers()) > 0 {
		return fmt.Errorf("%s is held by other finalizers: %v", ref, left.GetFinalizers())
	}
	return err
}

// finalize adds our finalizer to an object, in place of its deprecated name, or removes both.
func (w *Writer) finalize(f compile.Finalize, done func(error)) {
	ref := f.Object
	w.write(ref, done, func(ctx context.Context) error {
		o, err := w.refinalize(ctx, ref, func(o Object) ([]string, error) {
			finalizers := withoutOurs(o.GetFinalizers())
			if f.Present {
				finalizers = append(finalizers, annotations.Finalizer)
			}
			return finalizers, nil
		})
		switch {
		case apierrors.IsNotFound(err):
			w.in.removed(ref, "")
			return nil
		case err != nil:
			w.in.failed(ref)
			return fmt.Errorf("finalize %s: %w", ref, err)
		case o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0:
			w.in.removed(ref, o.GetUID())
		default:
			w.in.wrote(w.kinds[ref.Kind], o)
		}
		return nil
	})
}

// refinalize reads an object and writes its finalizers; it tries again if the object has changed in between.
func (w *Writer) refinalize(ctx context.Context, ref model.Ref, want func(Object) ([]string, error)) (Object, error) {
	o := named(w.kinds[ref.Kind], ref)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := w.client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		finalizers, err := want(o)
		if err != nil || slices.Equal(finalizers, o.GetFinalizers()) {
			return err
		}
		patch, err := mergePatch(map[string]any{
			"uid": o.GetUID(), "resourceVersion": o.GetResourceVersion(), "finalizers": finalizers,
		})
		if err != nil {
			return err
		}
		return w.observe(ref.Kind, "patch", w.client.Patch(ctx, o, patch, client.FieldOwner(fieldManager)))
	})
	return o, err
}

// withoutOurs returns the finalizers except ours and its deprecated name.
func withoutOurs(finalizers []string) []string {
	out := []string{}
	for _, f := range finalizers {
		if f != annotations.Finalizer && f != annotations.DeprecatedFinalizer {
			out = append(out, f)
		}
	}
	return out
}
