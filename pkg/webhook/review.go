// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

// Limits of the warnings for one object: the API server truncates them at 4096 characters in total.
const (
	maxWarnings = 10
	maxWarning  = 256 // bytes
)

// exempt is the namespace whose objects are never refused: a cluster that cannot start its system pods cannot be
// repaired.
const exempt = metav1.NamespaceSystem

// Reviewer handles admission requests.
type Reviewer struct {
	Kinds   kube.Kinds
	Cluster *Cluster
	Log     logr.Logger
}

// Handle refuses an object with a problem that is fatal or refused, and warns of others. An update is refused only for
// such problems that it adds, so that an invalid object that is stored already stays editable. An object that cannot be
// validated is allowed.
func (r *Reviewer) Handle(_ context.Context, request admission.Request) (response admission.Response) {
	defer func() {
		if cause := recover(); cause != nil {
			r.Log.Error(fmt.Errorf("%v", cause), "validation failed, object allowed", "kind", request.Kind.Kind, "namespace", request.Namespace, "name", request.Name)
			response = admission.Allowed("")
		}
	}()
	v, ok := validatorOf(r.Kinds, schema.GroupKind{Group: request.Kind.Group, Kind: request.Kind.Kind})
	if !ok || request.SubResource != "" || request.Namespace == exempt || request.Kind.Kind == string(model.KindNamespace) && request.Name == exempt {
		return admission.Allowed("")
	}
	list, err := r.review(v, &request)
	if err != nil {
		r.Log.Info("object cannot be validated, allowed", "kind", request.Kind.Kind, "namespace", request.Namespace, "name", request.Name, "cause", err.Error())
		return admission.Allowed("").WithWarnings("not validated: " + clip(err.Error()))
	}
	return respond(&request, list)
}

func (r *Reviewer) review(v validator, request *admission.Request) ([]model.Problem, error) {
	known := r.Cluster.Known()
	switch request.Operation {
	case admissionv1.Create:
		list, err := v.problems(request.Object.Raw, request.Namespace, known)
		for i := range list {
			list[i].Fatal = list[i].Fatal || list[i].Refused
		}
		return list, err
	case admissionv1.Update:
		return update(v, request, known)
	case admissionv1.Delete:
		if v.removal == nil || known == nil {
			return nil, nil
		}
		if p, ok := v.removal(request.Name, known); ok {
			return []model.Problem{p}, nil
		}
	}
	return nil, nil
}

// update returns the problems of an update. Those that the old object has, too, are not fatal.
func update(v validator, request *admission.Request, known model.AdmissionView) ([]model.Problem, error) {
	now, err := v.problems(request.Object.Raw, request.Namespace, known)
	if err != nil || len(now) == 0 && v.change == nil {
		return nil, err
	}
	before, err := v.problems(request.OldObject.Raw, request.Namespace, known)
	if err != nil {
		before = nil // the old object was worse than the new one
	}
	for i := range now {
		now[i].Fatal = (now[i].Fatal || now[i].Refused) && !slices.ContainsFunc(before, func(p model.Problem) bool { return p.Error() == now[i].Error() })
	}
	if v.change == nil {
		return now, nil
	}
	more, err := v.change(request.OldObject.Raw, request.Object.Raw)
	return append(now, more...), err
}

// respond returns a refusal with object, fields and causes if a problem is fatal, and the warnings of the others.
func respond(request *admission.Request, list []model.Problem) admission.Response {
	var warnings, texts []string
	details := &metav1.StatusDetails{Name: request.Name, Group: request.Kind.Group, Kind: request.Kind.Kind}
	for _, p := range list {
		if !p.Fatal {
			warnings = append(warnings, clip(p.Error()))
			continue
		}
		texts = append(texts, p.Error())
		details.Causes = append(details.Causes, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: p.Field, Message: p.Message})
	}
	if len(warnings) > maxWarnings {
		warnings = append(warnings[:maxWarnings-1], fmt.Sprintf("and %d more", len(warnings)-maxWarnings+1))
	}
	if len(texts) == 0 {
		return admission.Allowed("").WithWarnings(warnings...)
	}
	reason, code := metav1.StatusReasonInvalid, int32(http.StatusUnprocessableEntity)
	if request.Operation == admissionv1.Delete {
		reason, code = metav1.StatusReasonForbidden, http.StatusForbidden // a deletion has no fields
	}
	name := request.Name
	if request.Namespace != "" && request.Kind.Kind != string(model.KindNamespace) {
		name = request.Namespace + "/" + name
	}
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{
		Warnings: warnings,
		Result: &metav1.Status{
			Status: metav1.StatusFailure, Reason: reason, Code: code, Details: details,
			Message: request.Kind.Kind + " " + name + ": " + strings.Join(texts, "; "),
		},
	}}
}

func clip(text string) string {
	if len(text) <= maxWarning {
		return text
	}
	return strings.ToValidUTF8(text[:maxWarning-len("…")], "") + "…"
}
