package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/compile"
)

// Follow patches what an IP object says of its pod: one request. An object that
// is gone, or whose name belongs to another one by now, needs none.
func (w *Writer) Follow(f compile.Follow, done func(error)) {
	ref := f.Target()
	w.write(ref, done, func(ctx context.Context) error {
		patch, err := followPatch(f)
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("update %s: %w", ref, err)
		}
		k := w.kinds[ref.Kind]
		o := named(k, ref)
		err = w.told(k.kind, "patch", w.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)))
		return w.patched(k, ref, o, "update", err)
	})
}

// followPatch is a merge patch (RFC 7396): null removes what is not so any more.
func followPatch(f compile.Follow) ([]byte, error) {
	var owner, label any
	if f.OwnerUID != "" {
		owner = f.OwnerUID
	}
	if len(validation.IsValidLabelValue(f.NodeName)) == 0 {
		label = f.NodeName
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"uid":         f.UID,
			"annotations": map[string]any{annotations.OwnerUID: owner},
			"labels":      map[string]any{annotations.LabelNodeName: label},
		},
		"spec": map[string]any{"nodeName": f.NodeName, "podType": f.PodType},
	})
}
