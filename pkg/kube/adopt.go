package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

// Adopt completes the record of a reserved address that a user made: one request.
// An object that is gone, or whose name belongs to another one by now, needs none.
func (w *Writer) Adopt(a compile.Adopt, al ipam.Allocation, done func(error)) {
	ref := a.Target()
	w.write(ref, done, func(ctx context.Context) error {
		full := model.IPObject(model.IP{
			Meta: model.Meta{Name: a.IP}, Subnet: al.Subnet, Addrs: al.Addrs, MAC: al.MAC, Reserved: a.Reserved, NodeName: a.NodeName,
		})
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": a.UID, "labels": full.Labels},
			"spec": map[string]any{
				"ipAddress": full.Spec.IPAddress, "v4IpAddress": full.Spec.V4IPAddress, "v6IpAddress": full.Spec.V6IPAddress,
				"macAddress": full.Spec.MacAddress,
			},
		})
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("complete %s: %w", ref, err)
		}
		k := w.kinds[ref.Kind]
		o := named(k, ref)
		err = w.told(k.kind, "patch", w.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)))
		return w.patched(k, ref, o, "complete", err)
	})
}
