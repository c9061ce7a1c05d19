// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/podnet"
)

// validator validates objects of one kind.
type validator struct {
	// problems returns the problems of an object; known is nil if the cluster is not known yet.
	problems func(raw []byte, namespace string, known model.AdmissionView) ([]model.Problem, error)
	// change returns the problems of a change; nil if a change needs no checks beyond those of a creation.
	change func(before, after []byte) ([]model.Problem, error)
	// removal returns the problem of a deletion; nil if any object may be deleted.
	removal func(name string, known model.AdmissionView) (model.Problem, bool)
}

// validatorOf returns the validator of a kind: that of a workload, or of its row in the table of kinds.
func validatorOf(kinds kube.Kinds, gk schema.GroupKind) (validator, bool) {
	if v, ok := workloads[gk]; ok {
		return v, true
	}
	k, ok := kinds.OfGroupKind(gk)
	if !ok || k.Admission == nil {
		return validator{}, false
	}
	v := validator{removal: k.Admission.Removal}
	v.problems = func(raw []byte, _ string, known model.AdmissionView) ([]model.Problem, error) {
		o, deleting, err := decode(raw, k.New())
		if err != nil || deleting {
			return nil, err
		}
		return k.Admission.Problems(o, known), nil
	}
	if k.Admission.Update != nil {
		v.change = func(before, after []byte) ([]model.Problem, error) {
			old, wasDeleting, err := decode(before, k.New())
			if err != nil || wasDeleting {
				return nil, err
			}
			now, deleting, err := decode(after, k.New())
			if err != nil || deleting {
				return nil, err
			}
			return k.Admission.Update(old, now), nil
		}
	}
	return v, true
}

// workloads are pods, and the objects that have pod templates.
var workloads = map[schema.GroupKind]validator{
	{Kind: "Pod"}: {problems: reading(func(o *corev1.Pod, namespace string, known model.AdmissionView) []model.Problem {
		o.Namespace = namespace
		return podProblems(o, known, model.PodProblems)
	})},

	{Group: appsv1.GroupName, Kind: "Deployment"}:  template("spec.template.", func(o *appsv1.Deployment) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: appsv1.GroupName, Kind: "StatefulSet"}: template("spec.template.", func(o *appsv1.StatefulSet) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: appsv1.GroupName, Kind: "DaemonSet"}:   template("spec.template.", func(o *appsv1.DaemonSet) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: batchv1.GroupName, Kind: "Job"}:        template("spec.template.", func(o *batchv1.Job) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: batchv1.GroupName, Kind: "CronJob"}: template("spec.jobTemplate.spec.template.", func(o *batchv1.CronJob) *corev1.PodTemplateSpec {
		return &o.Spec.JobTemplate.Spec.Template
	}),
}

// decode reads an object. One that is being deleted is not validated: a refusal must not delay the deletion.
func decode[O metav1.Object](raw []byte, into O) (o O, deleting bool, err error) {
	if err := json.Unmarshal(raw, into); err != nil {
		return into, false, fmt.Errorf("decode object: %w", err)
	}
	return into, into.GetDeletionTimestamp() != nil, nil
}

// object is a pointer to an object of the API.
type object[O any] interface {
	*O
	metav1.Object
}

func reading[O any, P object[O]](validate func(P, string, model.AdmissionView) []model.Problem) func([]byte, string, model.AdmissionView) ([]model.Problem, error) {
	return func(raw []byte, namespace string, known model.AdmissionView) ([]model.Problem, error) {
		o, deleting, err := decode(raw, P(new(O)))
		if err != nil || deleting {
			return nil, err
		}
		return validate(o, namespace, known), nil
	}
}

func podProblems(o *corev1.Pod, known model.AdmissionView, inCluster func(*model.Pod, model.AdmissionView) []model.Problem) []model.Problem {
	pod, list := model.PodFrom(o)
	if len(pod.NICs) == 0 {
		return list
	}
	if err := podnet.CheckRoutes(o.Annotations); err != nil {
		list = append(list, model.Problem{Reason: model.ReasonPodInvalid, Field: model.AnnotationField(annotations.Routes), Message: err.Error(), Fatal: true})
	}
	if known == nil || model.Fatal(list) {
		return list
	}
	return append(list, inCluster(&pod, known)...)
}

// template validates the pods of a workload before they exist. path is the field path of the pod template, with a dot
// at its end.
func template[O any, P object[O]](path string, of func(P) *corev1.PodTemplateSpec) validator {
	return validator{problems: reading(func(o P, namespace string, known model.AdmissionView) []model.Problem {
		t := of(o)
		pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: t.Spec.HostNetwork}}
		pod.Namespace, pod.Name, pod.Annotations = namespace, o.GetName(), t.Annotations
		list := podProblems(pod, known, func(p *model.Pod, c model.AdmissionView) []model.Problem {
			return model.TemplateProblems(p, o.GetName(), c)
		})
		for i := range list {
			list[i].Field = strings.TrimSuffix(path+list[i].Field, ".")
		}
		return list
	})}
}
