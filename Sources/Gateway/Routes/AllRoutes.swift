// Every address, in the order of openapi.json.

/// The routes of the HTTP door.
let allRoutes: [Route] =
    HealthRoutes.all + DocumentRoutes.all + QueryRoutes.all + BatchRoutes.all + AuthRoutes.all
    + LiveRoute.all + OpenAPI.all
