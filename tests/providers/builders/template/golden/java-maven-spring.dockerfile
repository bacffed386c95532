# Java 17 (Spring Boot, Maven)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM eclipse-temurin:17-jdk AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.m2 \
    sh ./mvnw -B -DskipTests package && mkdir /out && cp "$(find . -path '*/target/*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' ! -name '*-tests.jar' ! -name 'original-*' ! -path './gradle/*' ! -path './.mvn/*' -printf '%s %p\n' | sort -rn | head -n 1 | cut -d' ' -f2-)" /out/app.jar

FROM eclipse-temurin:17-jre
COPY --from=build --chown=10001:10001 ["/out/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75 HOME=/tmp
ENV PORT=8080
EXPOSE 8080
ENTRYPOINT []
CMD ["/bin/bash", "-c", "SERVER_PORT=$PORT exec java -jar /app/app.jar"]
# ---
# kind java, web, port 8080, because of pom.xml
