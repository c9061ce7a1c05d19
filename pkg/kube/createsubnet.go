// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
)

// createSubnet creates a Subnet that the annotations of a namespace describe: one request. An existing Subnet is not
// changed.
func (w *Writer) createSubnet(s compile.CreateSubnet, done func(error)) {
	ref := s.Target()
	w.write(ref, done, func(ctx context.Context) error {
		k := w.kinds[ref.Kind]
		owner := metav1.OwnerReference{APIVersion: "v1", Kind: string(model.KindNamespace), Name: s.Namespace, UID: types.UID(s.NamespaceUID)}
		o := &v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: s.Name, OwnerReferences: []metav1.OwnerReference{owner}}, Spec: *s.Request.Spec.DeepCopy(),
		}
		err := w.observe(k.Name, "create", w.client.Create(ctx, o, client.FieldOwner(fieldManager)))
		if apierrors.IsAlreadyExists(err) {
			err = w.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		}
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("create %s: %w", ref, err)
		}
		w.in.wrote(k, o)
		return nil
	})
}
