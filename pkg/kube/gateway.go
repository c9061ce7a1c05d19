package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/compile"
)

// SetGateway records which nodes are a subnet's gateway now: one request. A
// subnet that is gone needs none.
func (w *Writer) SetGateway(g compile.SetGateway, done func(error)) {
	ref := g.Target()
	w.write(ref, done, func(ctx context.Context) error {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": g.UID},
			"status":   map[string]any{"activateGateway": g.Nodes},
		})
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("set gateway of %s: %w", ref, err)
		}
		k := w.kinds[ref.Kind]
		o := named(k, ref)
		err = w.told(k.kind+"/status", "patch", w.client.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)))
		return w.patched(k, ref, o, "set gateway of", err)
	})
}
